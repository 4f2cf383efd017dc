"""Giving assets out, and taking them away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select

from trellis.contracts import BlobStore, port
from trellis.db import Compiled, fetch_one
from trellis.errors import NotFound
from trellis.unit_of_work import unit_of_work
from trellis_media.errors import NotReady
from trellis_media.events import AssetDeleted
from trellis_media.models import Asset, Usage
from trellis_media.services import quota
from trellis_media.services.objects import ORIGINAL, delete_objects, object_key
from trellis_media.services.views import RENDITION_TYPE, tag_of

_OWNED = (Asset.id == bindparam("asset_id"), Asset.owner_id == bindparam("owner_id"))
_ORIGINAL = Compiled(
    select(Asset.size, Asset.sha256, Asset.content_type, Asset.filename, Asset.created_at).where(
        *_OWNED
    )
)
_RENDITIONS = Compiled(
    select(Asset.state, Asset.failure, Asset.filename, Asset.renditions, Asset.processed_at).where(
        *_OWNED
    )
)


@dataclass(frozen=True)
class Blob:
    """Bytes that a caller may have, and what to say of them. ``etag`` is their SHA-256."""

    key: str
    size: int
    etag: str
    content_type: str
    filename: str
    last_modified: datetime

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from ``start`` up to, not including, ``end``. Raises NotFound."""
        return port(BlobStore).read(self.key, start, end)


def original(owner_id: UUID, asset_id: UUID) -> Blob:
    """The file as it was uploaded. Raises NotFound."""
    asset = fetch_one(_ORIGINAL, asset_id=asset_id, owner_id=owner_id)
    if asset is None:
        raise NotFound
    key = object_key(asset_id, ORIGINAL)
    return Blob(key, *asset)


def rendition(owner_id: UUID, asset_id: UUID, name: str) -> Blob:
    """A rendition. Raises NotFound, and `NotReady` while, or because, there is none."""
    asset = fetch_one(_RENDITIONS, asset_id=asset_id, owner_id=owner_id)
    if asset is None:
        raise NotFound
    if asset.state != "ready":
        raise NotReady(state=asset.state, failure=asset.failure)
    facts: Mapping[str, Any] | None = asset.renditions.get(name)
    if facts is None:
        raise NotFound
    return Blob(
        object_key(asset_id, name),
        facts["size"],
        facts["sha256"],
        RENDITION_TYPE,
        f"{PurePosixPath(asset.filename).stem}-{name}.webp",
        asset.processed_at,
    )


def delete_asset(owner_id: UUID, asset_id: UUID) -> None:
    """Delete an asset; its bytes go right after, in a task. Raises NotFound."""
    with unit_of_work() as uow:
        deleted = uow.session.execute(
            delete(Asset)
            .where(Asset.id == asset_id, Asset.owner_id == owner_id)
            .returning(Asset.size)
            .execution_options(synchronize_session=False)
        ).first()
        if deleted is None:
            raise NotFound
        quota.release(uow, owner_id, deleted.size)
        uow.publish(AssetDeleted(asset_id, owner_id))
        # Without a subject: with its owner's erasure it would be dropped, and the bytes would stay.
        uow.enqueue("media.delete_objects", asset_id=str(asset_id))
        uow.invalidate(tag_of(owner_id))


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Erase a person's assets and their bytes.

    Rows first: a task that is making renditions then finds none, and deletes what it wrote.
    """
    with unit_of_work() as uow:
        assets = uow.session.scalars(
            delete(Asset)
            .where(Asset.owner_id == user_id)
            .returning(Asset.id)
            .execution_options(synchronize_session=False)
        ).all()
        uow.session.execute(delete(Usage).where(Usage.owner_id == user_id))
        objects = sum(delete_objects(asset_id) for asset_id in assets)
        uow.invalidate(tag_of(user_id))
    return {"assets": len(assets), "objects": objects}
