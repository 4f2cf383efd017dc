"""The journal of erasures: notes in the object storage, which outlive a restore of the database.

A backup holds what was erased after it was made. Whoever restores it reads here whom to erase
again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from trellis.contracts import BlobStore
from trellis.db.reads import fetch_all
from trellis.privacy.models import Erasure

JOURNAL = ".trellis/erasures/"
"""Where the notes lie; they stay when a restore replaces the objects around them."""


@dataclass(frozen=True)
class Note:
    """That an erasure was requested. The subject is an id by which nobody is known any more."""

    erasure_id: UUID
    subject: UUID
    requested_at: datetime

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{JOURNAL}{self.erasure_id}"

    def text(self) -> bytes:
        """What it says."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def parsed(cls, text: bytes) -> Note:
        """The note that says this. Raises ValueError."""
        facts = json.loads(text)
        return cls(
            UUID(facts["erasure_id"]),
            UUID(facts["subject"]),
            datetime.fromisoformat(facts["requested_at"]),
        )


def keep(store: BlobStore, note: Note) -> None:
    """Write a note, durably; writing it again does no harm."""
    store.put(note.key, note.text())


def notes(store: BlobStore) -> Iterator[Note]:
    """Every note that a storage holds."""
    for key in store.list(JOURNAL):
        yield Note.parsed(b"".join(store.read(key)))


def open_erasures(erasure_id: UUID | None = None) -> list[Note]:
    """Of erasures that are under way what their notes have to say; of one, or of all."""
    statement = select(Erasure.id, Erasure.subject, Erasure.requested_at).where(
        Erasure.subject.is_not(None)
    )
    if erasure_id is not None:
        statement = statement.where(Erasure.id == erasure_id)
    return [Note(*row) for row in fetch_all(statement)]
