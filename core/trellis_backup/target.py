"""The place where sets lie: a directory or S3-compatible storage, sealed when there is a key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain

from trellis.errors import NotFound, ServiceUnavailable, StartError
from trellis.settings import Settings
from trellis.storage import ObjectStorage
from trellis.storage.objects import reason
from trellis_backup.address import absolute, directory, refuse_overlap
from trellis_backup.errors import BackupError
from trellis_backup.sealing import MAGIC, Sealer, sealed_by

MANIFEST = "manifest"
NOTES = "erasures/"
_SETS = "sets/"
# As much of a file as tells the key under which it is sealed.
_HEAD = len(MAGIC) + 8


class Target:
    """Reads and writes the files of all sets in one place.

    Raises BackupError for a place that is not apart from the object storage. A directory is made
    when the first file is written.
    """

    def __init__(self, core: Settings, address: str) -> None:
        self.address = absolute(address)
        refuse_overlap(self.address, core.storage_url)
        self._core = core.model_copy(update={"storage_url": self.address})
        key = core.backup_key
        self.sealer = None if key is None else Sealer(key.get_secret_value())

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file; it is there whole, or not at all. Raises BackupError."""
        sealed = self.sealer.seal(name, pieces) if self.sealer else pieces
        with told(f"{name} cannot be written to {self.address}"), _private():
            self._store.put(name, iter(sealed))

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes that were written. Raises BackupError."""
        with told(f"{name} cannot be read from {self.address}"):
            head, pieces = self._begun(name)
            yield from self._opened(name, head, chain([head], pieces))

    def refuse_other_key(self) -> None:
        """Raise BackupError when what is here is sealed otherwise than a new set would be.

        The newest manifest that can be read tells; without any, the notes of erasures, which every
        restore has to read.
        """
        manifests = (file_name(set_id, MANIFEST) for set_id in reversed(self.sets()))
        for name in chain(manifests, self.names(NOTES)):
            with told(f"{name} cannot be read from {self.address}"):
                head, _ = self._begun(name)
            if len(head) < _HEAD or not head.startswith((MAGIC, b"{")):
                continue
            theirs, ours = sealed_by(head), self.sealer.fingerprint if self.sealer else None
            if theirs != ours:
                raise BackupError(
                    f"what {self.address} holds is {_told_key(theirs)}, and a new set would be "
                    f"{_told_key(ours)}: correct TRELLIS_BACKUP_KEY, or give a new target."
                )
            return

    @cached_property
    def _store(self) -> ObjectStorage:
        try:
            with _private():
                return ObjectStorage(self._core)
        except (StartError, ValueError) as error:  # the latter for a prefix that S3 cannot have
            fault = getattr(error.__cause__, "strerror", None) or error
            raise BackupError(
                f"the target {self.address} cannot be used ({fault}): "
                "make it yours, or give another."
            ) from error

    def _begun(self, name: str) -> tuple[bytes, Iterator[bytes]]:
        """The beginning of a file, long enough to tell its key, and the rest of it."""
        try:
            pieces = self._store.read(name)
        except NotFound:
            raise BackupError(f"{name} is missing.") from None
        head = b""
        while len(head) < _HEAD and (piece := next(pieces, b"")):
            head += piece
        return head, pieces

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
        place = directory(self.address)
        if place is not None and not os.path.lexists(place):
            return
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
        raise BackupError(f"{what}: {reason(error.__cause__ or error)}") from error
    except OSError as error:
        raise BackupError(f"{what}: {error.strerror or error}") from error


@contextmanager
def _private() -> Iterator[None]:
    """Files and directories that are made meanwhile are for nobody else on this machine."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _told_key(fingerprint: str | None) -> str:
    return f"sealed under the key with fingerprint {fingerprint}" if fingerprint else "not sealed"
