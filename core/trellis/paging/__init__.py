"""Lists in pages: by keyset, with cursors that only we can make."""

from trellis.paging.keyset import Listing, Page, paginate

__all__ = ["Listing", "Page", "paginate"]
