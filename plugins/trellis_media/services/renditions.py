"""Making the smaller forms of a picture: slow work first, then one short unit of work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update

from trellis.contracts import BlobStore, Messenger, port, port_or_none
from trellis.db import fetch_all, fetch_one, utcnow
from trellis.jobs.dead import given_up
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_media.events import AssetFailed, AssetReady
from trellis_media.models import PROCESSING, Asset
from trellis_media.services.decoding import Decoded, UndecodableError, decode
from trellis_media.services.objects import ORIGINAL, delete_objects, object_key
from trellis_media.services.views import tag_of

_AT_ONCE = 200
_GIVEN_UP = "given_up"
# An operator may have it tried again, and then it is not too late.
_OPEN = or_(Asset.state == "processing", Asset.failure == _GIVEN_UP)


def make_renditions(asset_id: UUID) -> None:
    """Bring an asset from `processing` to `ready`, or to `failed` when its bytes are the reason.

    Run again, or by two workers at once, it changes nothing more. An asset that was deleted
    meanwhile stays deleted, with whatever was written for it here.
    """
    asset = fetch_one(
        select(Asset.owner_id, Asset.content_type, _OPEN.label("open")).where(Asset.id == asset_id)
    )
    if asset is None:
        delete_objects(asset_id)  # an earlier attempt may have ended after it had written some
        return
    if not asset.open:
        return
    original = port(BlobStore).read(object_key(asset_id, ORIGINAL))
    try:
        decoded = decode(original, asset.content_type)
    except UndecodableError as error:
        _fail(asset_id, asset.owner_id, error.reason)
        return
    store_renditions(asset_id, decoded)
    _finish(asset_id, asset.owner_id, decoded)


def close_given_up(after: UUID) -> None:
    """Tell the owners of pictures that nobody tries any more: their task is a dead letter.

    Looks at a batch of those that are being processed, whose ids are after the given one, and has
    the next batch looked at in a further task.
    """
    batch = fetch_all(
        select(Asset.id, Asset.owner_id)
        .where(PROCESSING, Asset.id > after)
        .order_by(Asset.id)
        .limit(_AT_ONCE)
    )
    owners = {str(asset.id): asset.owner_id for asset in batch}
    with unit_of_work() as uow:
        for asset_id in given_up("media.make_renditions", "asset_id", owners):
            _fail(UUID(asset_id), owners[asset_id], _GIVEN_UP)
        if len(batch) == _AT_ONCE:
            uow.enqueue("media.close_given_up", after=str(batch[-1].id))


def store_renditions(asset_id: UUID, decoded: Decoded) -> None:
    """Store the bytes of the renditions; the same ones again are no harm."""
    for rendition in decoded.renditions:
        port(BlobStore).put(object_key(asset_id, rendition.name), rendition.data)


def ready_values(decoded: Decoded) -> dict[str, Any]:
    """The columns that make an asset ready."""
    return {
        "state": "ready",
        "failure": None,
        "width": decoded.width,
        "height": decoded.height,
        "thumbhash": decoded.thumbhash,
        "renditions": {rendition.name: rendition.facts for rendition in decoded.renditions},
        "processed_at": utcnow(),
    }


def _finish(asset_id: UUID, owner_id: UUID, decoded: Decoded) -> None:
    with unit_of_work() as uow:
        if not _leave_processing(uow, asset_id, ready_values(decoded)):
            return
        shown = [
            {"name": rendition.name, "width": rendition.width, "height": rendition.height}
            for rendition in decoded.renditions
        ]
        uow.publish(
            AssetReady(asset_id, owner_id, decoded.width, decoded.height, decoded.thumbhash, shown)
        )
        uow.invalidate(tag_of(owner_id))
        messenger = port_or_none(Messenger)
        if messenger is not None:
            messenger.send(
                owner_id,
                "media.photo_ready",
                "Your photo is ready",
                "Tap to look at it.",
                {"asset_id": str(asset_id)},
                dedupe=f"media.photo_ready:{asset_id}",
            )


def _fail(asset_id: UUID, owner_id: UUID, reason: str) -> None:
    with unit_of_work() as uow:
        failed = {"state": "failed", "failure": reason, "processed_at": utcnow()}
        if _leave_processing(uow, asset_id, failed):
            uow.publish(AssetFailed(asset_id, owner_id, reason))
            uow.invalidate(tag_of(owner_id))


def _leave_processing(uow: UnitOfWork, asset_id: UUID, values: dict[str, Any]) -> bool:
    """Write the end of the processing; False when somebody else did, or the asset is gone."""
    changed = uow.session.execute(
        update(Asset)
        .where(Asset.id == asset_id, _OPEN)
        .values(**values)
        .returning(Asset.id)
        .execution_options(synchronize_session=False)
    )
    if changed.first() is not None:
        return True
    if fetch_one(select(Asset.id).where(Asset.id == asset_id)) is None:
        delete_objects(asset_id)
    return False
