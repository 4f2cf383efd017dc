"""Notes that one person shares with another: the events of these tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

from trellis.events import Event, user_audience

TYPE = "core.note_shared/1"


@dataclass(frozen=True)
class NoteShared(Event):
    """Somebody may read a note."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Literal["created"]] = "created"
    number: int
    reader_id: UUID | None = None

    def resource_id(self) -> str:
        return str(self.number)

    def audience(self) -> str | None:
        return None if self.reader_id is None else user_audience(self.reader_id)

    def subject(self) -> UUID | None:
        return self.reader_id
