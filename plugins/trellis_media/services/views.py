"""An asset as callers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from trellis.api import utc_text
from trellis.db import Compiled, fetch_all, fetch_one
from trellis.errors import NotFound
from trellis.paging import Listing, Page
from trellis.settings import Settings
from trellis_media.models import Asset
from trellis_media.services.objects import ORIGINAL

RENDITION_TYPE = "image/webp"

_SHOWN = select(
    Asset.id,
    Asset.state,
    Asset.failure,
    Asset.visibility,
    Asset.content_type,
    Asset.filename,
    Asset.size,
    Asset.width,
    Asset.height,
    Asset.thumbhash,
    Asset.renditions,
    Asset.created_at,
)
_OWNED = _SHOWN.where(Asset.owner_id == bindparam("owner_id"))
_LISTED = Listing(_OWNED, Asset.id.desc())
_ASSET = Compiled(_OWNED.where(Asset.id == bindparam("asset_id")))


def tag_of(owner_id: UUID) -> str:
    """The cache tag of everything that is read of one user's assets."""
    return f"media.assets:{owner_id}"


def public_tag_of(asset_id: UUID) -> str:
    """The tag of what everybody gets of one asset; caches in front of us know it, too."""
    return f"media.asset:{asset_id}"


def address_of(asset_id: UUID) -> str:
    """Where its owner finds an asset."""
    return f"{Settings.current().base_url}/v1/media/assets/{asset_id}"


def list_assets(owner_id: UUID, *, cursor: str | None, limit: int) -> Page[Mapping[str, Any]]:
    """A page of a user's assets, the newest first."""
    page = _LISTED.page(cursor=cursor, limit=limit, owner_id=owner_id)
    return Page([view(row) for row in page.items], page.next_cursor)


def get_asset(owner_id: UUID, asset_id: UUID) -> Mapping[str, Any]:
    """One asset of a user. Raises NotFound."""
    row = fetch_one(_ASSET, asset_id=asset_id, owner_id=owner_id)
    if row is None:
        raise NotFound
    return view(row)


def export_user(user_id: UUID) -> Mapping[str, Any]:
    """What this plugin holds of a person; the files themselves are behind the addresses."""
    rows = fetch_all(_SHOWN.where(Asset.owner_id == user_id).order_by(Asset.id))
    return {"assets": [view(row) for row in rows]}


def view(asset: Any) -> dict[str, Any]:
    """An asset, or a row of its columns, as JSON values."""
    address = address_of(asset.id)
    original, renditions = f"{address}/content", f"{address}/renditions"
    if asset.visibility == "public":
        renditions = f"{Settings.current().base_url}/v1/media/public/{asset.id}"
        original = f"{renditions}/{ORIGINAL}"
    return {
        "id": str(asset.id),
        "state": asset.state,
        "failure": asset.failure,
        "visibility": asset.visibility,
        "content_type": asset.content_type,
        "filename": asset.filename,
        "size": asset.size,
        "width": asset.width,
        "height": asset.height,
        "thumbhash": asset.thumbhash,
        "created_at": utc_text(asset.created_at),
        "url": original,
        "renditions": [
            {
                "name": name,
                "content_type": RENDITION_TYPE,
                "width": facts["width"],
                "height": facts["height"],
                "size": facts["size"],
                "url": f"{renditions}/{name}",
            }
            for name, facts in asset.renditions.items()
        ],
    }
