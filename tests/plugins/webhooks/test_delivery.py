"""C-13: what a receiver gets, and what it makes of its answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import WebhookVerificationError
from tests.plugins.webhooks.receiver import Answers, Receiver

from trellis.db import database_now, fetch_value
from trellis_webhooks.services import attempts
from trellis_webhooks.services.patience import SCHEDULE

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]


def test_c13_an_event_arrives_once_signed_and_as_the_specification_says(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, deliveries: Rows
) -> None:
    _, secret = endpoint()
    [message_id] = happen()
    run_tasks()
    [call] = receiver.calls
    told = call.verified(secret)
    [row] = deliveries()
    assert told["type"] == row.type == "notifications.message_created/1"
    assert told["timestamp"].endswith("Z")
    assert told["data"]["message_id"] == str(message_id)
    assert call.id == str(row.event_id)
    assert call.headers["content-type"] == "application/json"
    assert call.headers["webhook-signature"].count("v1,") == 1
    assert (row.state, row.attempts, row.last_status) == ("delivered", 1, 204)
    run_tasks()
    assert len(receiver.calls) == 1


def test_a_worker_whose_clock_is_off_signs_with_the_time_that_all_agree_on(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead = SimpleNamespace(time=lambda: time.time() + 3600, monotonic=time.monotonic)
    monkeypatch.setattr(attempts, "time", ahead)
    _, secret = endpoint()
    happen()
    run_tasks()
    assert receiver.calls[0].verified(secret), "receivers refuse what is five minutes off"


def test_c13_a_changed_body_and_a_foreign_secret_do_not_verify(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any
) -> None:
    _, secret = endpoint()
    happen()
    run_tasks()
    [call] = receiver.calls
    with pytest.raises(WebhookVerificationError):
        type(call)(call.path, call.headers, call.body + b" ").verified(secret)
    with pytest.raises(WebhookVerificationError):
        call.verified("whsec_" + "A" * 44)


def test_c13_a_retry_has_the_same_id_and_body_and_a_fresh_signature(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    pass_time: Any,
    deliveries: Rows,
) -> None:
    _, secret = endpoint()
    receiver.default.status = 500
    happen()
    run_tasks()
    [row] = deliveries()
    assert (row.state, row.attempts, row.last_status) == ("waiting", 1, 500)
    run_tasks()
    assert len(receiver.calls) == 1, "it waits before it tries again"
    receiver.default.status = 200
    pass_time(seconds=6)
    run_tasks()
    first, second = receiver.calls
    assert first.id == second.id
    assert first.body == second.body
    assert first.verified(secret) == second.verified(secret)
    assert deliveries()[0].state == "delivered"


def test_c13_tries_are_spread_over_days_and_end(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    pass_time: Any,
    deliveries: Rows,
) -> None:
    endpoint()
    receiver.default.status = 503
    happen()
    run_tasks()
    waited = []
    while (row := deliveries()[0]).state == "waiting":
        waited.append((row.next_attempt_at - fetch_value(select(database_now()))).total_seconds())
        pass_time(seconds=waited[-1] + 1)  # its task is due some time after the delivery is
        run_tasks()
        assert len(receiver.calls) == len(waited) + 1
    assert row.state == "failed"
    assert len(receiver.calls) == 10
    for seconds, planned in zip(waited, SCHEDULE, strict=True):
        assert 0.79 * planned - 5 < seconds < 1.21 * planned
    assert len({call.id for call in receiver.calls}) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_c13_a_redirect_is_a_failure_and_is_not_followed(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, deliveries: Rows, status: int
) -> None:
    endpoint("/moved")
    receiver.answers["/moved"] = Answers(status, {"Location": receiver.url("/other")})
    happen()
    run_tasks()
    assert [call.path for call in receiver.calls] == ["/moved"]
    [row] = deliveries()
    assert (row.state, row.last_status) == ("waiting", status)


def test_c13_410_disables_the_endpoint_and_tells(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    deliveries: Rows,
    shown: Any,
    feed: Callable[[], list[dict[str, Any]]],
) -> None:
    endpoint_id, _ = endpoint()
    receiver.default.status = 410
    happen(3)
    run_tasks()
    assert len(receiver.calls) == 1
    assert (shown(endpoint_id).enabled, shown(endpoint_id).disabled_reason) == (False, "gone")
    told = [event["payload"] for event in feed() if event["type"] == "webhooks.endpoint_disabled/1"]
    assert told == [{"endpoint_id": str(endpoint_id), "reason": "gone"}]
    assert sorted(row.state for row in deliveries()) == ["failed", "waiting", "waiting"]


def test_an_endpoint_hears_only_of_what_it_asked_for_and_from_then_on(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any
) -> None:
    happen(2)
    run_tasks()
    endpoint("/all")
    endpoint("/plugin", events=("notifications.*",))
    endpoint("/any-version", events=("notifications.message_created",))
    endpoint("/next-version", events=("notifications.message_created/2",))
    endpoint("/other", events=("media.*", "notifications.message"))
    happen()
    run_tasks()
    assert sorted(call.path for call in receiver.calls) == ["/all", "/any-version", "/plugin"]
    assert len({call.id for call in receiver.calls}) == 1


def test_a_body_is_json_of_ids_and_nothing_else(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any
) -> None:
    endpoint()
    happen()
    run_tasks()
    told = json.loads(receiver.calls[0].body)
    assert set(told) == {"type", "timestamp", "data"}
    assert set(told["data"]) == {"message_id", "user_id", "kind"}
