"""Objects on their way into a set: each content once, and only what the target has not yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import SpooledTemporaryFile

from trellis.errors import NotFound
from trellis.storage import ObjectStorage
from trellis.storage.mark import FOLDER
from trellis.storage.objects import Entry
from trellis_backup import manifest
from trellis_backup.errors import BackupError
from trellis_backup.inventory import Inventory, Kept, parsed, written
from trellis_backup.manifest import Manifest, Objects
from trellis_backup.target import Digest, Target, checked, file_name, told

LIST = "objects"
OBJECTS = "objects/"
_IN_MEMORY = 4 * 1024 * 1024
_PIECE = 256 * 1024


@dataclass
class Collector:
    """Copies what the storage holds; ``copied`` counts objects whose bytes were written."""

    storage: ObjectStorage
    target: Target
    inventory: Inventory = field(default_factory=Inventory)
    copied: int = 0
    _round: int = 0
    _before: Inventory = field(default_factory=Inventory)
    _there: Inventory = field(default_factory=Inventory)

    def know_earlier(self) -> None:
        """Learn what the target has, and from its newest set what need not be read again."""
        for name in self.target.names(OBJECTS):
            self._there.add(Kept(name, 0, "", ""))
        for _, found in reversed(list(manifest.manifests(self.target))):
            if isinstance(found, Manifest):
                for kept in listed(self.target, found):
                    self._before.add(kept)
                return

    def copy_all(self) -> None:
        """Copy what is not copied yet; afterwards hold what was listed now and nothing else."""
        self._round += 1
        for entry in self._listing():
            known = self.inventory.find(entry.key)
            if known is not None and known.version == entry.version:
                self.inventory.seen(entry.key, self._round)
            else:
                self._copy(entry)
        self.inventory.forget_unseen(self._round)

    def copy_new(self) -> bool:
        """Copy what came since `copy_all`, drop nothing; False when some of it went meanwhile."""
        whole = True
        for entry in self._listing():
            if self.inventory.find(entry.key) is None:
                whole &= self._copy(entry)
        return whole

    def write_list(self, set_id: str) -> Objects:
        """Write the set's list of objects."""
        digest = Digest(written(self.inventory))
        self.target.write(file_name(set_id, LIST), digest)
        count, total = self.inventory.totals()
        return Objects(size=digest.size, sha256=digest.sha256, count=count, total=total)

    def _listing(self) -> Iterator[Entry]:
        with told("the object storage cannot be listed"):
            for entry in self.storage.entries():
                # What tells of the storage itself is no part of a set.
                if not entry.key.startswith(FOLDER):
                    yield entry

    def _copy(self, entry: Entry) -> bool:
        """Have an object in the target; False when it is not in the storage any more."""
        before = self._before.find(entry.key)
        if (
            before is not None
            and (before.size, before.version) == (entry.size, entry.version)
            and self._there.find(self.target.object_name(before.sha256))
        ):
            self.inventory.add(before, self._round)
            return True
        digest = Digest(self._bytes(entry.key))
        try:
            with spooled(digest) as pieces:
                name = self.target.object_name(digest.sha256)
                if self._there.find(name) is None:
                    self.target.write(name, pieces)
                    self._there.add(Kept(name, 0, "", ""))
                    self.copied += 1
        except NotFound:
            return False
        self.inventory.add(Kept(entry.key, digest.size, entry.version, digest.sha256), self._round)
        return True

    def _bytes(self, key: str) -> Iterator[bytes]:
        with told(f"{key} cannot be read from the object storage"):
            yield from self.storage.read(key)


def listed(target: Target, found: Manifest) -> Iterator[Kept]:
    """The objects of a set. Raises BackupError, at the end when they are others."""
    name = file_name(found.id, LIST)
    pieces = target.read(name)
    try:
        yield from parsed(checked(name, pieces, found.objects.sha256, found.objects.size))
    except (ValueError, TypeError):
        raise BackupError(f"{name} was altered: it is no list of objects.") from None


def content(target: Target, kept: Kept) -> Iterator[bytes]:
    """The bytes of an object of a set. Raises BackupError, at their end when they are others."""
    name = target.object_name(kept.sha256)
    yield from checked(name, target.read(name), kept.sha256, kept.size)


def is_right(storage: ObjectStorage, kept: Kept) -> bool:
    """Whether the storage has these bytes under this key."""
    digest = Digest(storage.read(kept.key))
    for _ in digest:
        pass
    return (digest.sha256, digest.size) == (kept.sha256, kept.size)


@contextmanager
def spooled(pieces: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Read everything first, then give it out: a storage cannot be read while another is written.

    What is larger than some megabytes passes through a temporary file.
    """
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        for piece in pieces:
            with told("no temporary file can be written"):
                file.write(piece)
        file.seek(0)
        yield iter(partial(file.read, _PIECE), b"")
