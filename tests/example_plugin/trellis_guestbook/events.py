"""What the guestbook tells others."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from trellis.events import Event, user_audience


@dataclass(frozen=True)
class EntryWritten(Event):
    """Somebody wrote in the guestbook."""

    resource = "entry"
    operation = "created"

    entry_id: UUID
    author_id: UUID

    def resource_id(self) -> str:
        """Id of the entry."""
        return str(self.entry_id)

    def audience(self) -> str:
        """Its author's own phones."""
        return user_audience(self.author_id)

    def subject(self) -> UUID:
        """Its author."""
        return self.author_id
