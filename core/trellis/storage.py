"""The core's `BlobStore`: objects in a local directory or in S3-compatible storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, from_url

from trellis.errors import NotFound

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ObjectStore

_CHUNK = 256 * 1024


class ObjectStorage:
    """Implements `trellis.contracts.BlobStore` for one ``storage_url``."""

    def __init__(self, url: str) -> None:
        self._root: Path | None = None
        if url.startswith("file://"):
            self._root = Path(unquote(urlsplit(url).path))
            self._root.mkdir(parents=True, exist_ok=True)
            self._store: ObjectStore = LocalStore(self._root, automatic_cleanup=True)
        else:
            self._store = from_url(url)

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        obstore.put(self._store, key, data)
        if self._root is not None:
            _make_durable(self._root, self._root / key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if end is not None and end <= start:
            return iter(())
        wanted: GetOptions = {"range": {"offset": start} if end is None else (start, end)}
        try:
            result = obstore.get(self._store, key, options=wanted)
        except FileNotFoundError:
            raise NotFound from None
        return (bytes(chunk) for chunk in result.stream(min_chunk_size=_CHUNK))

    def delete(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return

    def list(self, prefix: str) -> Iterator[str]:
        for batch in obstore.list(self._store, prefix):
            yield from (entry["path"] for entry in batch)


def _make_durable(root: Path, path: Path) -> None:
    """Sync the file and the directories that name it: obstore leaves both to the kernel."""
    while True:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path == root:
            return
        path = path.parent
