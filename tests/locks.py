"""Races on PostgreSQL that are decided by a test and not hoped for: who waits for a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

from flask import Flask
from sqlalchemy import text
from tests.processes import PATIENCE, until

from trellis.db.base import db

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Race:
    """Calls in threads of their own, each with an application context."""

    def __init__(self, app: Flask, pool: ThreadPoolExecutor) -> None:
        self._app, self._pool = app, pool

    def start(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begin a call."""

        def within() -> Any:
            with self._app.app_context():
                return call(*arguments)

        return self._pool.submit(within)

    def settle(self, over: Callable[[], bool]) -> None:
        """Wait until something is over, or somebody waits for a lock."""

        def settled() -> bool:
            with self._app.app_context(), db.engine.connect() as connection:
                return over() or bool(connection.scalar(_WAITING))

        until(settled, "the end of a call, or its waiting for a lock")


class Pause:
    """Stops a thread at one place: it says that it has come there, and goes on when it may."""

    def __init__(self) -> None:
        self._reached, self._released = Event(), Event()

    def here(self) -> None:
        """Stop here, the first time."""
        self._reached.set()
        assert self._released.wait(PATIENCE)

    def reached(self) -> None:
        """Wait until somebody stands there."""
        assert self._reached.wait(PATIENCE)

    def release(self) -> None:
        """Let whoever stands there go on."""
        self._released.set()


@contextmanager
def race(app: Flask, *pauses: Pause) -> Iterator[Race]:
    """A race whose pauses end with the block, however it ends."""
    with ThreadPoolExecutor(8) as pool:
        try:
            yield Race(app, pool)
        finally:
            for pause in pauses:
                pause.release()
