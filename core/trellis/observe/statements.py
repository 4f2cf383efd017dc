"""Counts the SQL statements of a request: a page of twenty rows cannot quietly cost twenty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


@dataclass
class Statements:
    """How many statements were executed so far."""

    count: int = 0


_current: ContextVar[Statements | None] = ContextVar("trellis_statements", default=None)


def listen() -> None:
    """Count for every engine of the process from now on; may be called again."""
    if not event.contains(Engine, "before_cursor_execute", _executed):
        event.listen(Engine, "before_cursor_execute", _executed)


def start_counting() -> None:
    """Begin at zero in the current context (a thread's, or a task's of an event loop)."""
    _current.set(Statements())


def statement_count() -> int:
    """Statements in this context since `start_counting`."""
    statements = _current.get()
    return 0 if statements is None else statements.count


@contextmanager
def counted_statements() -> Iterator[Statements]:
    """Count the statements of a block by themselves; the outer count goes on without them."""
    statements = Statements()
    token = _current.set(statements)
    try:
        yield statements
    finally:
        _current.reset(token)


def _executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    statements = _current.get()
    # SQLite's units begin by a statement, PostgreSQL's by the driver: one count for both.
    if statements is not None and not statement.startswith("BEGIN"):
        statements.count += 1
