"""Bodies and queries: of what was sent to what a view is given."""

from trellis_schemas.input.decoder import Decoder, body_decoder, query_decoder

__all__ = ["Decoder", "body_decoder", "query_decoder"]
