"""Who is calling. Provided by the plugin that owns accounts; the core asks once per request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    id: UUID
    kind: Literal["user", "operator", "service"]
    permissions: frozenset[str] = frozenset()
    session_id: UUID | None = None
    device_id: str | None = None
    """The installation id that the app sent when it signed in."""
    good_seconds: float = field(default=0.0, compare=False)
    """For so long a process may remember who this is; see `caller_tag`."""

    def can(self, permission: str) -> bool:
        """Whether the caller holds the permission."""
        return permission in self.permissions


def caller_tag(session_id: UUID | None) -> str:
    """The tag to invalidate, everywhere, when a session ends or means other rights.

    Whoever gives a `Principal` ``good_seconds`` promises to do that.
    """
    return f"core.caller:{session_id}"


class Identity(Protocol):
    """Turns credentials into a principal."""

    def authenticate(self, authorization: str | None) -> Principal | None:
        """The caller of a request.

        ``authorization`` is the header's value, ``None`` when there was none (then the answer is
        ``None``). Raises `trellis.errors.Unauthenticated` for credentials that are not valid, a
        session that has ended included.
        """
        ...

    def is_alive(self, principal: Principal) -> bool:
        """Whether an authenticated principal would still be let in.

        Asked inside a unit of work the answer holds until its end: whoever takes the access away
        waits for that unit, and so an erasure finds what it wrote.
        """
        ...

    def end_all_sessions(self) -> int:
        """End every session of everybody, in bounded steps, and tell how many those were.

        A restored database calls sessions alive that were ended since: this is asked before anybody
        is served from it.
        """
        ...

    def alive(self, principals: Collection[Principal]) -> set[Principal]:
        """Those of some authenticated principals who would still be let in, with the same rights.

        Asked for all open streams every few seconds, some hundred at a time.
        """
        ...

    def ensure_operator(self, email: str, password: str) -> bool:
        """Make the first operator unless that address has an account; tells whether it was made."""
        ...
