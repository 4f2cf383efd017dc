"""The place where sets lie: a directory or S3-compatible storage, sealed when there is a key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from trellis.errors import NotFound, ServiceUnavailable
from trellis.settings import Settings
from trellis.storage import ObjectStorage
from trellis_backup.errors import BackupError
from trellis_backup.sealing import MAGIC, Sealer, sealed_by

MANIFEST = "manifest"
_SETS = "sets/"


class Target:
    """Reads and writes the files of all sets in one place."""

    def __init__(self, core: Settings, address: str) -> None:
        self.address = _url(address)
        self._store = ObjectStorage(core.model_copy(update={"storage_url": self.address}))
        key = core.backup_key
        self.sealer = None if key is None else Sealer(key.get_secret_value())

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file; it is there whole, or not at all. Raises BackupError."""
        sealed = self.sealer.seal(name, pieces) if self.sealer else pieces
        with told(f"{name} cannot be written to {self.address}"):
            self._store.put(name, iter(sealed))

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes that were written. Raises BackupError."""
        with told(f"{name} cannot be read from {self.address}"):
            try:
                pieces = self._store.read(name)
            except NotFound:
                raise BackupError(f"{name} is missing.") from None
            head = b""
            while len(head) < len(MAGIC) + 8 and (piece := next(pieces, b"")):
                head += piece
            yield from self._opened(name, head, chain([head], pieces))

    def _opened(self, name: str, head: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
        sealed_under = sealed_by(head)
        if self.sealer is None:
            if sealed_under is not None:
                raise BackupError(
                    f"{name} is sealed: set TRELLIS_BACKUP_KEY to the key with fingerprint "
                    f"{sealed_under}."
                )
            yield from pieces
        elif sealed_under is None and not MAGIC.startswith(head):
            # Whoever can write to the target could otherwise put a set of their own there.
            raise BackupError(
                f"{name} is not sealed, and TRELLIS_BACKUP_KEY is set: unset it if you trust it."
            )
        else:
            yield from self.sealer.open(name, pieces)

    def object_name(self, sha256: str) -> str:
        """Where an object of this content lies, for all sets that have it."""
        shown = self.sealer.blind(sha256) if self.sealer else sha256
        return f"objects/{shown[:2]}/{shown}"

    def names(self, prefix: str) -> Iterator[str]:
        """The files whose names begin with a prefix that ends with ``/``."""
        with told(f"{self.address} cannot be listed"):
            yield from self._store.list(prefix)

    def sets(self) -> list[str]:
        """The ids of all whole sets, the oldest first."""
        ends = f"/{MANIFEST}"
        names = (name for name in self.names(_SETS) if name.endswith(ends))
        return sorted(name.removeprefix(_SETS).removesuffix(ends) for name in names)


def file_name(set_id: str, name: str) -> str:
    """Where a file of one set lies."""
    return f"{_SETS}{set_id}/{name}"


class Digest:
    """Passes bytes on; afterwards ``sha256``, ``size`` and ``lines`` tell which they were."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._hash = hashlib.sha256()
        self.size = 0
        self.lines = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            self.size += len(piece)
            self.lines += piece.count(b"\n")
            yield piece

    @property
    def sha256(self) -> str:
        """Of what was passed on so far, in hexadecimal."""
        return self._hash.hexdigest()


def checked(name: str, pieces: Iterable[bytes], sha256: str, size: int) -> Iterator[bytes]:
    """Pass bytes on; raises BackupError at their end unless they are the ones that were meant."""
    digest = Digest(pieces)
    yield from digest
    if (digest.sha256, digest.size) != (sha256, size):
        raise BackupError(f"{name} was altered: it is not what the set's manifest tells.")


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what a disk or a storage server says into a sentence."""
    try:
        yield
    except ServiceUnavailable as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise BackupError(f"{what}: {reason}") from error
    except OSError as error:
        raise BackupError(f"{what}: {error.strerror or error}") from error


def _url(address: str) -> str:
    scheme, separator, _ = address.partition("://")
    if not separator:
        return Path(address).expanduser().resolve().as_uri()
    if scheme not in ("file", "s3"):
        raise BackupError("a target is a directory, or an address with file:// or s3://")
    return address
