"""What auth tells others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from trellis.events import Event, user_audience


@dataclass(frozen=True)
class UserCreated(Event):
    """Somebody has an account, and the address is proved to be theirs."""

    resource: ClassVar[str] = "user"
    operation = "created"

    user_id: UUID

    def resource_id(self) -> str:
        return str(self.user_id)

    def subject(self) -> UUID:
        return self.user_id


@dataclass(frozen=True)
class SessionEnded(Event):
    """A session has ended: signed out, ended from elsewhere, expired, or found in wrong hands.

    ``device_id`` is the installation id that the app sent when it signed in; it is None while
    another session of the same person on that device goes on.
    """

    resource: ClassVar[str] = "session"
    operation = "deleted"

    session_id: UUID
    user_id: UUID
    device_id: str | None

    def resource_id(self) -> str:
        return str(self.session_id)

    def audience(self) -> str:
        return user_audience(self.user_id)

    def subject(self) -> UUID:
        return self.user_id
