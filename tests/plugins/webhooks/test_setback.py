"""The database's clock is set back by an hour: no webhook waits for it to come round again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import database_now, fetch_value
from trellis.feed.sequencer import sequence
from trellis.outbox.models import OutboxRow
from trellis.outbox.setback import after_setback
from trellis.unit_of_work import unit_of_work
from trellis_webhooks import services

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]


@pytest.fixture
def set_back(pass_time: Any) -> Callable[[], None]:
    """Set the clock back by an hour: so all that was written before it looks."""

    def all_is_ahead() -> None:
        pass_time(hours=-1)
        after_setback()  # as the next tick of the scheduler does

    return all_is_ahead


def _due_in(row: Any) -> float:
    gap: timedelta = row.next_attempt_at - fetch_value(select(database_now()))
    return gap.total_seconds()


def test_f21_what_was_due_is_sent(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, set_back: Any
) -> None:
    endpoint()
    happen(3)
    sequence()
    services.follow()
    set_back()
    run_tasks()
    assert len(receiver.calls) == 3


def test_f21_what_was_put_off_keeps_its_delay(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    set_back: Any,
    pass_time: Any,
    deliveries: Rows,
) -> None:
    endpoint()
    receiver.default.status = 503
    happen()
    run_tasks()
    set_back()
    run_tasks()
    assert len(receiver.calls) == 1, "it is not due yet"
    receiver.default.status = 204
    pass_time(seconds=7)
    run_tasks()
    assert [row.state for row in deliveries()] == ["delivered"]


def test_f21_an_endpoint_that_is_left_alone_is_so_no_longer_than_before(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    set_back: Any,
    pass_time: Any,
    shown: Any,
) -> None:
    endpoint_id, _ = endpoint()
    receiver.default.status = 503
    receiver.default.headers = {"Retry-After": "60"}
    happen(3)
    run_tasks()
    set_back()
    receiver.default.status, receiver.default.headers = 204, {}
    happen()
    run_tasks()
    assert len(receiver.calls) == 1
    pass_time(seconds=61)
    run_tasks()
    assert len(receiver.calls) == 5
    assert shown(endpoint_id).turn_at is None


def test_f21_what_happens_afterwards_takes_along_what_waited(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    set_back: Any,
    deliveries: Rows,
) -> None:
    endpoint()
    happen()
    sequence()
    services.follow()
    receiver.default.status = 503
    run_tasks()
    set_back()
    with unit_of_work() as uow:  # and nobody comes for the delivery that was put off
        uow.session.execute(delete(OutboxRow))
    receiver.default.status = 204
    happen()
    run_tasks()
    first, second = deliveries()
    assert (first.state, second.state) == ("waiting", "delivered")
    assert _due_in(first) < 7
