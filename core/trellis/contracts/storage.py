"""Bytes that are too large for the database. The core provides it from ``storage_url``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol


class BlobStore(Protocol):
    """Objects under keys such as ``media/018f…/original``; the first part is the plugin's name."""

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """Store an object, durable when this returns; an object of that key is replaced."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` up to, not including, ``end``, in pieces.

        Raises `trellis.errors.NotFound` when there is no such object.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys under a prefix that ends with ``/``."""
        ...
