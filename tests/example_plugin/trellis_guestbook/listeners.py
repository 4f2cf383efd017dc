"""What the guestbook does when something happens elsewhere."""

from __future__ import annotations

from uuid import UUID

from trellis.events import Envelope

from trellis_guestbook import services


def enter_photo(envelope: Envelope) -> None:
    """Enter a photo that is ready."""
    photo_id, owner_id = envelope.payload["asset_id"], envelope.payload["owner_id"]
    services.enter_photo(UUID(photo_id), UUID(owner_id))
