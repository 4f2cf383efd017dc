"""Is this process alive, and should it get requests: for load balancers and supervisors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import structlog
from flask import Flask, Response, jsonify, request
from sqlalchemy import select, text

from trellis.api import access
from trellis.db.base import db
from trellis.db.clock import database_now, utcnow
from trellis.draining import DRAINING
from trellis.errors import ServiceUnavailable
from trellis.keys import WrongKeys, require_secret_keys
from trellis.runtime import runtime
from trellis.storage import core_storage
from trellis.storage.mark import ForeignStorage, verify

log = structlog.get_logger(__name__)

Outcome = Literal["ok", "failed", "timeout", "foreign"]

_SECONDS = 1.0
_STORAGE_KEPT_SECONDS = 3.0
_CLOCK_SECONDS = 30.0
# Without them requests fail or do harm; without another part they are slower, or some of them fail.
_NEEDED = ("database", "migrations", "clock")


@dataclass(frozen=True)
class Answer:
    """What came of a question, and what it measured, if it measures."""

    outcome: Outcome
    measured: float | None = None


class Check:
    """A question to a part outside this process, which may never answer.

    It is asked in a thread of its own, by one asker at a time: who comes while it runs, or up to
    `keep` seconds later, gets the same answer. So a part that hangs holds one thread, however often
    we are asked.
    """

    def __init__(
        self, name: str, question: Callable[[], Answer | None], *, keep: float = 0.0
    ) -> None:
        self.name = name
        self._question = question
        self._keep = keep
        self._keep_until = 0.0
        self._lock = threading.Lock()
        self._running: Future[Answer] | None = None
        self._failing: str | None = None

    def begin(self, app: Flask) -> Future[Answer]:
        """Ask, or join whoever asks already."""
        with self._lock:
            asked = self._running
            if asked is None or (asked.done() and time.monotonic() >= self._keep_until):
                self._running = asked = Future()
                thread = threading.Thread(
                    target=self._ask, args=(app, asked), name=self.name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:  # the process may have no more
                    self._tell(str(error))
                    asked.set_result(Answer("failed"))
            return asked

    def _ask(self, app: Flask, answer: Future[Answer]) -> None:
        try:
            with app.app_context():
                told = self._question() or Answer("ok")
            self._tell(None if told.outcome == "ok" else told.outcome)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the answer)
            foreign = isinstance(error, ForeignStorage | WrongKeys)
            told = Answer("foreign" if foreign else "failed")
            self._tell(str(error) if foreign else type(error).__name__)
        self._keep_until = time.monotonic() + self._keep
        answer.set_result(told)

    def _tell(self, failing: str | None) -> None:
        """Log a change only: we are asked every few seconds."""
        if failing != self._failing:
            log.warning("health_changed", check=self.name, failing=failing)
            self._failing = failing


def add_views(app: Flask) -> None:
    """Serve `/health/live` and `/health/ready`."""
    checks = [
        Check("database", _ask_database),
        Check("migrations", _ask_migrations),
        Check("clock", _ask_clock),
        Check("broker", _ask_broker),
        Check("storage", _ask_storage, keep=_STORAGE_KEPT_SECONDS),
        # Until it is so, for processes that nobody asked at their start; a rotation that begins
        # later, on another machine, takes nobody out.
        Check("secret_keys", cache(require_secret_keys)),
    ]
    public = access(public="tells only whether the parts work")

    @public
    def live() -> Response:
        return _fresh(jsonify(status="ok"))

    @public
    def ready() -> Response:
        if DRAINING in request.environ:
            raise ServiceUnavailable("This process is about to stop.")
        answers = _ask_all(app, checks)
        outcomes = {name: answer.outcome for name, answer in answers.items()}
        offset = answers["clock"].measured
        told: dict[str, Any] = {"checks": outcomes, "clock_offset_seconds": offset}
        if "foreign" in outcomes.values() or any(outcomes[name] != "ok" for name in _NEEDED):
            raise ServiceUnavailable("A part that every request needs does not work.", **told)
        # Without the broker work waits in the outbox, without storage files do: not all is broken.
        status = "ok" if set(outcomes.values()) == {"ok"} else "degraded"
        return _fresh(jsonify(status=status, **told))

    app.add_url_rule("/health/live", view_func=live)
    app.add_url_rule("/health/ready", view_func=ready)


def _ask_all(app: Flask, checks: list[Check]) -> dict[str, Answer]:
    asked = {check.name: check.begin(app) for check in checks}
    wait(asked.values(), _SECONDS)
    return {name: one.result() if one.done() else Answer("timeout") for name, one in asked.items()}


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _ask_database() -> None:
    with db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _ask_migrations() -> None:
    from trellis.db import migrations  # Alembic is slow to import; workers never ask

    pending = [status.owner for status in migrations.status() if status.pending]
    if pending:
        raise RuntimeError(f"migrations pending for {', '.join(pending)}")


def _ask_clock() -> Answer:
    """How many seconds this process's clock is ahead of the database's, which all agree on."""
    with db.engine.connect() as connection:
        before = utcnow()
        theirs = connection.execute(select(database_now())).scalar_one()
        after = utcnow()
    offset = round(((before - theirs) + (after - before) / 2).total_seconds(), 3)
    return Answer("ok" if abs(offset) <= _CLOCK_SECONDS else "failed", offset)


def _ask_broker() -> None:
    # Something is written: one that is full answers a ping all the same.
    runtime().redis.set("trellis:health", 1, ex=60)


def _ask_storage() -> None:
    verify(core_storage())
