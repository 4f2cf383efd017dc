"""C-13: an endpoint that fails costs little, is disabled in the end, and comes back when it may."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from tests.plugins.webhooks.receiver import Answers, Receiver

from trellis.db import fetch_all
from trellis.observe.audit import AuditEntry
from trellis.unit_of_work import unit_of_work
from trellis_notifications.models import Message
from trellis_webhooks import factories, services
from trellis_webhooks.models import Endpoint
from trellis_webhooks.services import patience
from trellis_webhooks.settings import WebhooksSettings

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


@pytest.fixture
def silent(app_context: None) -> UUID:
    """An endpoint that nobody answers for: its port is closed."""
    endpoint_id, _ = factories.endpoint(url="http://127.0.0.1:1025/", enabled=True)
    return endpoint_id


def test_a_silent_endpoint_with_a_thousand_events_takes_one_attempt_and_then_waits(
    silent: UUID, happen: Any, run_tasks: Any, attempts: Rows, deliveries: Rows, pass_time: Any
) -> None:
    happen(1000)
    ran = run_tasks()
    assert len(deliveries()) == 1000
    assert len(attempts()) == 1
    assert ran.count("webhooks.attempt") == 1
    for made in range(2, 6):
        pass_time(hours=1.3)
        run_tasks()
        assert len(attempts()) == made
    assert attempts()[0].status is None
    assert attempts()[0].error == "could not be reached (ConnectionRefusedError)"


def test_others_are_not_held_up_by_it(
    silent: UUID, endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any
) -> None:
    endpoint()
    happen(20)
    run_tasks()
    assert len(receiver.calls) == 20


def test_what_waited_goes_out_when_it_answers_again(
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    pass_time: Any,
    deliveries: Rows,
) -> None:
    endpoint_id, _ = endpoint()
    address = receiver.url()
    _move(endpoint_id, "http://127.0.0.1:1025/")
    happen(5)
    run_tasks()
    _move(endpoint_id, address)
    assert receiver.calls == []
    pass_time(seconds=10)
    run_tasks()
    assert len(receiver.calls) == 5
    assert {row.state for row in deliveries()} == {"delivered"}


def test_an_endpoint_that_refuses_one_kind_of_event_gets_the_others(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, deliveries: Rows
) -> None:
    endpoint()

    def picky(stream: Any) -> None:
        status = b"422 No" if len(receiver.calls) == 3 else b"204 Yes"
        stream.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    receiver.default.speak = picky
    happen(8)
    run_tasks()
    assert len(receiver.calls) == 8
    assert sorted(row.state for row in deliveries()) == ["delivered"] * 7 + ["waiting"]


def test_c13_after_long_failure_it_is_disabled_and_its_owner_told(
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    pass_time: Any,
    shown: Any,
    new_user_id: Callable[[], UUID],
) -> None:
    owner_id = new_user_id()
    endpoint_id, _ = factories.endpoint(owner_id, url=receiver.url(), enabled=True)
    receiver.default.status = 500
    happen()
    run_tasks()
    pass_time(days=4)
    happen()
    run_tasks()
    assert shown(endpoint_id).enabled, "four days are not five"
    pass_time(days=1.1)
    happen()
    run_tasks()
    assert not shown(endpoint_id).enabled
    assert shown(endpoint_id).disabled_reason == "failing"
    messages = fetch_all(select(Message.kind, Message.data).where(Message.user_id == owner_id))
    assert [(row.kind, row.data["reason"]) for row in messages] == [
        ("webhooks.endpoint_disabled", "failing")
    ]
    recorded = fetch_all(
        select(AuditEntry.details).where(AuditEntry.action == "webhooks.endpoint_disabled")
    )
    assert [row.details for row in recorded] == [
        {"endpoint_id": str(endpoint_id), "reason": "failing"}
    ]
    calls = len(receiver.calls)
    happen()
    pass_time(days=2)
    run_tasks()
    assert len(receiver.calls) == calls, "nothing is sent to it any more"


def test_an_endpoint_for_which_too_much_waits_is_disabled(
    silent: UUID,
    happen: Any,
    run_tasks: Any,
    shown: Any,
    deliveries: Rows,
    runtime: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(runtime.settings.plugins, "webhooks", WebhooksSettings(max_waiting=10))
    happen(10)
    run_tasks()
    assert shown(silent).enabled
    happen()
    run_tasks()
    assert shown(silent).disabled_reason == "overrun"
    happen(5)
    run_tasks()
    assert len(deliveries()) == 11


def test_one_success_begins_the_patience_anew(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, pass_time: Any, shown: Any
) -> None:
    endpoint_id, _ = endpoint()
    for status in (500, 500, 204, 500, 500):
        receiver.default.status = status
        pass_time(days=3)
        happen()
        run_tasks()
    assert shown(endpoint_id).enabled


def test_enabled_again_it_gets_what_waited_and_not_what_happened_meanwhile(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any
) -> None:
    endpoint_id, _ = endpoint()
    receiver.default.status = 410
    happen(2)
    run_tasks()
    receiver.default.status = 204
    [missed] = happen()
    run_tasks()
    services.update_endpoint(endpoint_id, {"enabled": True})
    [heard] = happen()
    run_tasks()
    bodies = [call.body.decode() for call in receiver.calls[1:]]
    assert len(bodies) == 2
    assert not any(str(missed) in body for body in bodies)
    assert str(heard) in bodies[1]


def test_retry_after_is_honoured(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, pass_time: Any
) -> None:
    endpoint()
    receiver.default = Answers(429, {"Retry-After": "7200"})
    happen(3)
    run_tasks()
    pass_time(hours=1.9)
    run_tasks()
    assert len(receiver.calls) == 1, "the others wait, too"
    receiver.default = Answers(204)
    pass_time(hours=0.2)
    run_tasks()
    assert len(receiver.calls) == 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 120 ", 120),
        ("-5", 0),
        ("1e9", 0),
        ("soon", 0),
        ("9" * 500, patience.LONGEST_ASKED),
        ("\u0661\u0662", 0),
        (format_datetime(NOW.replace(minute=30), usegmt=True), 1800),
        (format_datetime(NOW.replace(year=2020), usegmt=True), 0),
        (format_datetime(NOW.replace(year=2099), usegmt=True), patience.LONGEST_ASKED),
        ("Sun, 22 Nov 2026 07:30:00", 0),
        ("Sun, 99 Nov 2026 07:30:00 GMT", 0),
    ],
)
def test_retry_after_counts_within_bounds(text: str | None, seconds: float) -> None:
    assert patience.asked_for(text, NOW) == seconds


def test_pauses_grow_with_jitter_up_to_an_hour() -> None:
    random.seed(1)
    pauses = [patience.closed_for(failures, answered=False) for failures in range(1, 40)]
    assert 4 <= pauses[0] <= 6
    assert all(later > earlier for earlier, later in pairwise(pauses[:9]))
    assert max(pauses) <= 1.2 * patience.HOUR
    assert len(set(pauses[20:])) > 10
    assert [patience.closed_for(failures, answered=True) for failures in range(1, 5)] == [0.0] * 4
    assert patience.closed_for(5, answered=True) > 0
    assert patience.pause_after(0.2) == 0
    assert patience.pause_after(10.0) == 40


def test_a_task_that_was_lost_is_taken_up(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, shown: Any, pass_time: Any
) -> None:
    endpoint_id, _ = endpoint()
    receiver.default.status = 500
    happen()
    run_tasks()
    with unit_of_work() as uow:  # the turn of a task that nobody has
        uow.session.execute(
            update(Endpoint).values(turn=Endpoint.turn + 1).where(Endpoint.id == endpoint_id)
        )
    pass_time(minutes=10)
    run_tasks()
    assert len(receiver.calls) == 1
    services.resume()
    run_tasks()
    assert len(receiver.calls) == 2


def test_an_attempt_ends_within_its_settings(
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    attempts: Rows,
    shown: Any,
    runtime: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint_id, _ = endpoint()
    settings = WebhooksSettings(timeout_seconds=1.2)
    monkeypatch.setitem(runtime.settings.plugins, "webhooks", settings)
    receiver.default.speak = lambda _stream: receiver.closed.wait(60)
    happen(3)
    run_tasks()
    [made] = attempts()
    assert made.error == "did not answer in time"
    assert shown(endpoint_id).closed_until is not None


def _move(endpoint_id: UUID, url: str) -> None:
    with unit_of_work() as uow:
        uow.session.execute(update(Endpoint).values(url=url).where(Endpoint.id == endpoint_id))
