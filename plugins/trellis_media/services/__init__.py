"""The verbs of this plugin; the only place that writes its tables and its objects."""

from __future__ import annotations

from trellis_media.services.assets import (
    Blob,
    delete_asset,
    erase_user,
    original,
    public_blob,
    rendition,
    show_to,
)
from trellis_media.services.decoding import Decoded, decode
from trellis_media.services.objects import delete_objects, sweep_orphans
from trellis_media.services.renditions import close_given_up, make_renditions
from trellis_media.services.uploads import add_ready_assets, upload
from trellis_media.services.views import (
    address_of,
    export_user,
    get_asset,
    list_assets,
    public_tag_of,
    tag_of,
)

__all__ = [
    "Blob",
    "Decoded",
    "add_ready_assets",
    "address_of",
    "close_given_up",
    "decode",
    "delete_asset",
    "delete_objects",
    "erase_user",
    "export_user",
    "get_asset",
    "list_assets",
    "make_renditions",
    "original",
    "public_blob",
    "public_tag_of",
    "rendition",
    "show_to",
    "sweep_orphans",
    "tag_of",
    "upload",
]
