"""The session of the unit of work that is under way, for the reads that belong to it."""

from __future__ import annotations

from contextvars import ContextVar

from sqlalchemy.orm import Session

current_session: ContextVar[Session | None] = ContextVar("trellis_session", default=None)


def begun_session() -> Session | None:
    """The session of the open unit of work once its transaction has begun."""
    return current_session.get()
