"""The bytes: where an asset's objects are, and how they go when no row speaks of them any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import structlog
from sqlalchemy import select

from trellis.contracts import BlobStore, port
from trellis.db import fetch_all, utcnow
from trellis_media.models import Asset

log = structlog.get_logger(__name__)

ORIGINAL = "original"

_ROOT = "media/"
# No upload takes that long between storing its bytes and committing its row.
_ORPHAN_AGE = timedelta(hours=1)
_AT_ONCE = 500


def object_key(asset_id: UUID, name: str) -> str:
    """Where the original, or the rendition of that name, lies."""
    return f"{_ROOT}{asset_id}/{name}"


def delete_objects(asset_id: UUID) -> int:
    """Delete all objects of an asset whose row is gone, or never came; returns how many."""
    store = port(BlobStore)
    keys = list(store.list(f"{_ROOT}{asset_id}/"))
    for key in keys:
        store.delete(key)
    return len(keys)


def sweep_orphans() -> None:
    """Delete objects older than an hour that belong to no asset.

    They are left behind by a process that ended between storing the bytes and committing the row.
    """
    orphans: set[UUID] = set()
    stored = _stored_assets()
    while batch := set(islice(stored, _AT_ONCE)):
        orphans |= batch - {
            row.id for row in fetch_all(select(Asset.id).where(Asset.id.in_(batch)))
        }
    for asset_id in orphans:
        delete_objects(asset_id)
    if orphans:
        log.info("orphans_deleted", assets=len(orphans))


def _stored_assets() -> Iterator[UUID]:
    """The asset of each object that is old enough; an asset comes once for each of its objects."""
    made_before = utcnow() - _ORPHAN_AGE
    for key in port(BlobStore).list(_ROOT):
        with suppress(ValueError):  # not one of ours
            asset_id = UUID(key.removeprefix(_ROOT).partition("/")[0])
            if _made_at(asset_id) < made_before:
                yield asset_id


def _made_at(asset_id: UUID) -> datetime:
    """When an id was made: the first 48 bits of a UUIDv7 are milliseconds."""
    return datetime.fromtimestamp((asset_id.int >> 80) / 1000, UTC)
