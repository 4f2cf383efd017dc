"""Taking files in: checked, stored, and only then told of by a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from uuid import UUID

from trellis.contracts import BlobStore, Identity, Principal, port
from trellis.db import new_id, utcnow
from trellis.errors import DomainError, Unauthenticated
from trellis.unit_of_work import unit_of_work
from trellis_media.errors import AssetTooLarge, TooManyPixels
from trellis_media.events import AssetUploaded
from trellis_media.models import Asset, Visibility
from trellis_media.services import quota
from trellis_media.services.content import Content, identify
from trellis_media.services.decoding import Decoded
from trellis_media.services.objects import ORIGINAL, delete_objects, object_key
from trellis_media.services.renditions import ready_values, store_renditions
from trellis_media.services.views import tag_of, view
from trellis_media.settings import MediaSettings

_LONGEST_STEM = 180
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class _Original:
    """A file that passed the checks and whose bytes are stored."""

    asset_id: UUID
    content: Content
    filename: str
    size: int
    sha256: str

    def values(self, owner_id: UUID) -> dict[str, Any]:
        """The columns of its row."""
        return {
            "id": self.asset_id,
            "owner_id": owner_id,
            "state": "processing",
            "content_type": self.content.kind.content_type,
            "filename": self.filename,
            "size": self.size,
            "sha256": self.sha256,
            "width": self.content.width,
            "height": self.content.height,
            "renditions": {},
            "created_at": utcnow(),
        }


def upload(
    uploader: Principal, file: BinaryIO, filename: str, visibility: Visibility = "private"
) -> Mapping[str, Any]:
    """Keep a file of the uploader's and have its renditions made; returns the asset.

    Raises `UnsupportedContent`, `AssetTooLarge`, `TooManyPixels`, `QuotaExceeded`, and
    Unauthenticated when the uploader's access has ended while the file was on its way.
    """
    original = _store(uploader.id, file, filename)
    try:
        with unit_of_work() as uow:
            quota.reserve(uow, uploader.id, original.size)
            # Asked inside the transaction: an upload that was long on its way must not bring
            # anything back after its owner was erased.
            if not port(Identity).is_alive(uploader):
                raise Unauthenticated
            asset = Asset(**original.values(uploader.id), visibility=visibility)
            uow.session.add(asset)
            uow.publish(AssetUploaded(asset.id, asset.owner_id))
            uow.enqueue("media.make_renditions", subject=asset.owner_id, asset_id=str(asset.id))
            uow.invalidate(tag_of(asset.owner_id))
            return view(asset)
    except DomainError:
        # Refused, so surely not committed. After any other fault that is not sure: then the sweep
        # deletes the bytes if there is no row.
        delete_objects(original.asset_id)
        raise


def add_ready_assets(
    owner_id: UUID, files: Iterable[tuple[str, BinaryIO]], decoded: Decoded
) -> list[UUID]:
    """Keep many files, by name, whose renditions are made already; nobody is told."""
    originals = [_store(owner_id, file, filename) for filename, file in files]
    for original in originals:
        store_renditions(original.asset_id, decoded)
    with unit_of_work() as uow:
        quota.reserve(uow, owner_id, sum(original.size for original in originals))
        uow.session.add_all(
            Asset(**original.values(owner_id) | ready_values(decoded)) for original in originals
        )
        uow.invalidate(tag_of(owner_id))
    return [original.asset_id for original in originals]


def _store(owner_id: UUID, file: BinaryIO, filename: str) -> _Original:
    settings = MediaSettings.current()
    size = file.seek(0, 2)
    if size > settings.max_upload_bytes:
        raise AssetTooLarge(max_bytes=settings.max_upload_bytes)
    content = identify(file)
    if content.width * content.height > settings.max_pixels:
        raise TooManyPixels(max_pixels=settings.max_pixels)
    quota.check(owner_id, size)
    asset_id = new_id()
    sha256 = _sha256(file)
    file.seek(0)
    port(BlobStore).put(object_key(asset_id, ORIGINAL), file)
    return _Original(asset_id, content, _name(filename, content), size, sha256)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _name(filename: str, content: Content) -> str:
    """The name under which the file is given out again; its ending tells what the file is.

    It never reaches our file system. What it would do to somebody else's, `blob_response` prevents.
    """
    stem = PurePosixPath(filename.replace("\\", "/").replace("\0", "")).stem
    readable = stem.encode(errors="replace").decode().strip()[:_LONGEST_STEM]
    return f"{readable or 'picture'}{content.kind.extension}"
