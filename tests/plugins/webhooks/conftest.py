"""What the tests of webhooks share: a receiver, endpoints at it, events, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import bindparam, event, select, update
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import fetch_all, fetch_one, new_id
from trellis.db.base import db
from trellis.outbox.models import OutboxRow
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_notifications.events import MessageCreated
from trellis_webhooks import factories
from trellis_webhooks.models import Attempt, Delivery, Endpoint, PreviousSecret

EVENT = "notifications.message_created/1"


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


@pytest.fixture(autouse=True)
def allow_this_machine(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receivers of these tests are at private addresses and speak no TLS."""
    core = runtime.settings.core
    monkeypatch.setitem(core.__dict__, "outgoing_allow", ["127.0.0.1"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def endpoint(app_context: None, receiver: Receiver) -> Callable[..., tuple[UUID, str]]:
    """``endpoint("/path", events=[…])`` is an enabled endpoint at the receiver: id and secret."""

    def make(path: str = "/hook", events: tuple[str, ...] = ("*",)) -> tuple[UUID, str]:
        return factories.endpoint(url=receiver.url(path), events=events, enabled=True)

    return make


@pytest.fixture
def happen(app_context: None) -> Callable[..., list[UUID]]:
    """``happen(3)`` publishes so many events about one person; returns the ids of the messages."""

    def publish(count: int = 1, user_id: UUID | None = None) -> list[UUID]:
        user_id, messages = user_id or new_id(), [new_id() for _ in range(count)]
        with unit_of_work() as uow:
            for message_id in messages:
                uow.publish(MessageCreated(message_id, user_id, "test"))
        return messages

    return publish


@pytest.fixture
def pass_time(app_context: None) -> Callable[..., None]:
    """``pass_time(hours=5)`` moves all that waits, and what is remembered, into the past.

    A negative time moves it into the future: so it looks when the database's clock was set back.
    """

    def move(**by: float) -> None:
        with unit_of_work() as uow:
            for model, columns in _TIMES.items():
                table: Any = model
                for name in columns:
                    column = getattr(table, name)
                    found = fetch_all(select(table.id, column).where(column.is_not(None)))
                    moved = [{"row": row[0], "moment": row[1] - timedelta(**by)} for row in found]
                    change = update(table.__table__).where(table.id == bindparam("row"))
                    if moved:
                        uow.session.connection().execute(
                            change.values({name: bindparam("moment")}), moved
                        )

    return move


_TIMES: dict[Any, tuple[str, ...]] = {
    Endpoint: ("failing_since", "closed_until", "turn_at", "seen_at"),
    PreviousSecret: ("until",),
    Delivery: ("next_attempt_at", "created_at"),
    OutboxRow: ("due_at", "created_at"),
}


@pytest.fixture
def deliveries(app_context: None) -> Callable[[], list[Any]]:
    """``deliveries()`` are the rows, the oldest first."""
    columns = select(
        Delivery.id,
        Delivery.endpoint_id,
        Delivery.event_id,
        Delivery.type,
        Delivery.state,
        Delivery.attempts,
        Delivery.tries,
        Delivery.last_status,
        Delivery.last_error,
        Delivery.next_attempt_at,
    )
    return lambda: list(fetch_all(columns.order_by(Delivery.id)))


@pytest.fixture
def shown(app_context: None) -> Callable[[UUID], Any]:
    """``shown(id)`` is an endpoint's row."""
    columns = select(
        Endpoint.enabled,
        Endpoint.disabled_reason,
        Endpoint.failures,
        Endpoint.failing_since,
        Endpoint.closed_until,
        Endpoint.turn,
        Endpoint.turn_at,
    )
    return lambda endpoint_id: fetch_one(columns.where(Endpoint.id == endpoint_id))


@pytest.fixture
def attempts(app_context: None) -> Callable[[], list[Any]]:
    """``attempts()`` are the rows, the oldest first."""
    columns = select(Attempt.delivery_id, Attempt.status, Attempt.error, Attempt.duration_ms)
    return lambda: list(fetch_all(columns.order_by(Attempt.id)))


@pytest.fixture
def dies_at_commit(app_context: None) -> Callable[[], Any]:
    """``with dies_at_commit():`` loses the connection in place of the next commit."""

    @contextmanager
    def dying() -> Iterator[None]:
        def die(_connection: Any) -> None:
            raise ConnectionAbortedError

        event.listen(db.engine, "commit", die)
        try:
            yield
        finally:
            event.remove(db.engine, "commit", die)

    return dying
