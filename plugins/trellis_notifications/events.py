"""What this plugin tells others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from trellis.events import Event, user_audience


@dataclass(frozen=True)
class MessageCreated(Event):
    """A message has come into a user's inbox."""

    resource: ClassVar[str] = "message"
    operation = "created"

    message_id: UUID
    user_id: UUID
    kind: str

    def resource_id(self) -> str:
        return str(self.message_id)

    def audience(self) -> str:
        return user_audience(self.user_id)

    def subject(self) -> UUID:
        return self.user_id
