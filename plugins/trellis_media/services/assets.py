"""Giving assets out, and taking them away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update

from trellis.contracts import BlobStore, port
from trellis.db import Compiled, Found, fetch_one
from trellis.errors import NotFound
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_media.errors import NotReady
from trellis_media.events import AssetDeleted, AssetShown
from trellis_media.models import Asset, Usage, Visibility
from trellis_media.services import quota
from trellis_media.services.objects import ORIGINAL, delete_objects, object_key
from trellis_media.services.views import RENDITION_TYPE, public_tag_of, tag_of

_FACTS = select(
    Asset.id,
    Asset.state,
    Asset.failure,
    Asset.size,
    Asset.sha256,
    Asset.content_type,
    Asset.filename,
    Asset.renditions,
    Asset.created_at,
    Asset.processed_at,
).where(Asset.id == bindparam("asset_id"))
_OWN = Compiled(_FACTS.where(Asset.owner_id == bindparam("owner_id")))
_PUBLIC = Compiled(_FACTS.where(Asset.visibility == "public"))


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
    return _blob(fetch_one(_OWN, asset_id=asset_id, owner_id=owner_id), ORIGINAL)


def rendition(owner_id: UUID, asset_id: UUID, name: str) -> Blob:
    """A rendition. Raises NotFound, and `NotReady` while, or because, there is none."""
    asset = fetch_one(_OWN, asset_id=asset_id, owner_id=owner_id)
    if name == ORIGINAL:
        raise NotFound
    return _blob(asset, name)


def public_blob(asset_id: UUID, name: str) -> Blob:
    """The original or a rendition of an asset that everybody may see. Raises as `rendition`."""
    return _blob(fetch_one(_PUBLIC, asset_id=asset_id), name)


def _blob(asset: Found | None, name: str) -> Blob:
    if asset is None:
        raise NotFound
    key = object_key(asset.id, name)
    if name == ORIGINAL:
        facts = (asset.size, asset.sha256, asset.content_type, asset.filename, asset.created_at)
        return Blob(key, *facts)
    if asset.state != "ready":
        raise NotReady(state=asset.state, failure=asset.failure)
    rendition: Mapping[str, Any] | None = asset.renditions.get(name)
    if rendition is None:
        raise NotFound
    filename = f"{PurePosixPath(asset.filename).stem}-{name}.webp"
    return Blob(
        key,
        rendition["size"],
        rendition["sha256"],
        RENDITION_TYPE,
        filename,
        asset.processed_at,
    )


def show_to(owner_id: UUID, asset_id: UUID, visibility: Visibility) -> None:
    """Let everybody see an asset, or its owner alone again. Raises NotFound."""
    with unit_of_work() as uow:
        changed = uow.session.execute(
            update(Asset)
            .where(Asset.id == asset_id, Asset.owner_id == owner_id)
            .values(visibility=visibility)
            .returning(Asset.id)
            .execution_options(synchronize_session=False)
        )
        if changed.first() is None:
            raise NotFound
        uow.publish(AssetShown(asset_id, owner_id, visibility))
        uow.invalidate(tag_of(owner_id))
        uow.invalidate(public_tag_of(asset_id))


def delete_asset(owner_id: UUID, asset_id: UUID) -> None:
    """Delete an asset; its bytes go right after, in a task. Raises NotFound."""
    with unit_of_work() as uow:
        deleted = uow.session.execute(
            delete(Asset)
            .where(Asset.id == asset_id, Asset.owner_id == owner_id)
            .returning(Asset.id, Asset.size, Asset.visibility)
            .execution_options(synchronize_session=False)
        ).first()
        if deleted is None:
            raise NotFound
        quota.release(uow, owner_id, deleted.size)
        uow.publish(AssetDeleted(asset_id, owner_id))
        # Without a subject: with its owner's erasure it would be dropped, and the bytes would stay.
        uow.enqueue("media.delete_objects", asset_id=str(asset_id))
        _outdate(uow, owner_id, [deleted])


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Erase a person's assets and their bytes.

    Rows first: a task that is making renditions then finds none, and deletes what it wrote.
    """
    with unit_of_work() as uow:
        assets = uow.session.execute(
            delete(Asset)
            .where(Asset.owner_id == user_id)
            .returning(Asset.id, Asset.visibility)
            .execution_options(synchronize_session=False)
        ).all()
        uow.session.execute(delete(Usage).where(Usage.owner_id == user_id))
        objects = sum(delete_objects(asset.id) for asset in assets)
        _outdate(uow, user_id, assets)
    return {"assets": len(assets), "objects": objects}


def _outdate(uow: UnitOfWork, owner_id: UUID, gone: Iterable[Found]) -> None:
    uow.invalidate(tag_of(owner_id))
    for asset in gone:
        if asset.visibility == "public":
            uow.invalidate(public_tag_of(asset.id))
