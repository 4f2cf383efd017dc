"""The journal of erasures beside the sets, for the day on which the object storage is lost."""

from __future__ import annotations

from collections.abc import Iterator

from trellis.contracts import BlobStore
from trellis.privacy import journal
from trellis.privacy.journal import Note
from trellis_backup.errors import BackupError
from trellis_backup.target import NOTES, Target, told


def to_target(target: Target, storage: BlobStore) -> None:
    """Copy the notes that the target does not have."""
    there = set(target.names(NOTES))
    with told("the journal of erasures cannot be read"):
        for note in journal.notes(storage):
            name = f"{NOTES}{note.erasure_id}"
            if name not in there:
                target.write(name, iter([note.text()]))


def of_target(target: Target) -> Iterator[Note]:
    """The notes that any `create` has copied. Raises BackupError."""
    for name in target.names(NOTES):
        try:
            yield Note.parsed(b"".join(target.read(name)))
        except (ValueError, KeyError, TypeError):
            raise BackupError(f"{name} is no note of an erasure.") from None
