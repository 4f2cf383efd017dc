"""Is this process alive, and should it get requests: for load balancers and supervisors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal

import structlog
from flask import Flask, Response, jsonify
from sqlalchemy import text

from trellis.db.base import db
from trellis.errors import ServiceUnavailable
from trellis.runtime import runtime

log = structlog.get_logger(__name__)

Outcome = Literal["ok", "failed", "timeout"]

_SECONDS = 1.0


class Check:
    """A question to a part outside this process, which may never answer.

    It is asked in a thread of its own, by one asker at a time: who comes while it runs waits for
    the same answer. So a part that hangs holds one thread, however often we are asked.
    """

    def __init__(self, name: str, question: Callable[[], None]) -> None:
        self.name = name
        self._question = question
        self._lock = threading.Lock()
        self._running: Future[Outcome] | None = None
        self._failing: str | None = None

    def begin(self, app: Flask) -> Future[Outcome]:
        """Ask, or join whoever asks already."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                threading.Thread(
                    target=self._ask, args=(app, self._running), name=self.name, daemon=True
                ).start()
            return self._running

    def _ask(self, app: Flask, answer: Future[Outcome]) -> None:
        try:
            with app.app_context():
                self._question()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the answer)
            self._tell(type(error).__name__)
            answer.set_result("failed")
        else:
            self._tell(None)
            answer.set_result("ok")

    def _tell(self, failing: str | None) -> None:
        """Log a change only: we are asked every few seconds."""
        if failing != self._failing:
            log.warning("health_changed", check=self.name, failing=failing)
            self._failing = failing


def add_views(app: Flask) -> None:
    """Serve `/health/live` and `/health/ready`."""
    from trellis.api.access import access

    checks = [
        Check("database", _ask_database),
        Check("migrations", _ask_migrations),
        Check("broker", _ask_broker),
    ]
    public = access(public="tells only whether the parts work")

    @public
    def live() -> Response:
        return _fresh(jsonify(status="ok"))

    @public
    def ready() -> Response:
        outcomes = _ask_all(app, checks)
        if any(outcomes[name] != "ok" for name in ("database", "migrations")):
            raise ServiceUnavailable(
                "A part that every request needs does not work.", checks=outcomes
            )
        # Without the broker reads go on and work waits in the outbox: slower, not broken.
        status = "ok" if outcomes["broker"] == "ok" else "degraded"
        return _fresh(jsonify(status=status, checks=outcomes))

    app.add_url_rule("/health/live", view_func=live)
    app.add_url_rule("/health/ready", view_func=ready)


def _ask_all(app: Flask, checks: list[Check]) -> dict[str, Outcome]:
    running = {check.name: check.begin(app) for check in checks}
    deadline = time.monotonic() + _SECONDS
    outcomes: dict[str, Outcome] = {}
    for name, answer in running.items():
        try:
            outcomes[name] = answer.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            outcomes[name] = "timeout"
    return outcomes


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _ask_database() -> None:
    with db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _ask_migrations() -> None:
    from trellis.db import migrations  # Alembic is slow to import; workers never ask

    pending = [status.owner for status in migrations.status() if not status.at_head]
    if pending:
        raise RuntimeError(f"migrations pending for {', '.join(pending)}")


def _ask_broker() -> None:
    runtime().redis.ping()
