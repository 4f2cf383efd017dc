"""A turn sends what is due over one connection, for a moment, and heeds what changes meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from standardwebhooks.webhooks import WebhookVerificationError
from tests.plugins.webhooks.receiver import Answers, Receiver

from trellis.db import fetch_value
from trellis.feed.sequencer import sequence
from trellis.jobs import together
from trellis.outbox.lease import claim_fresh
from trellis.outbox.models import OutboxRow
from trellis_webhooks import services
from trellis_webhooks.models import Endpoint
from trellis_webhooks.services import attempts

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]

YES = b"HTTP/1.1 204 Yes\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn goes on for as long as there is something to send."""
    monkeypatch.setattr(attempts, "_TURN_SECONDS", 600.0)


@pytest.fixture
def meanwhile(app: Flask, receiver: Receiver) -> Callable[..., None]:
    """``meanwhile(change, status)`` has a change come during the first attempt."""

    def during(change: Callable[[], object], status: int = 204) -> None:
        def speak(stream: Any) -> None:
            if len(receiver.calls) == 1:
                with app.app_context():
                    change()
            stream.write(YES.replace(b"204", str(status).encode()))

        receiver.default.speak = speak

    return during


@pytest.mark.usefixtures("long_turns")
def test_a_turn_sends_all_that_is_due_over_one_connection(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, deliveries: Rows
) -> None:
    endpoint()
    happen(20)
    assert run_tasks().count("webhooks.attempt") == 1
    assert (len(receiver.calls), receiver.connections) == (20, 1)
    assert len({call.id for call in receiver.calls}) == 20
    assert {(row.state, row.attempts) for row in deliveries()} == {("delivered", 1)}


def test_when_its_time_is_over_others_have_their_turn(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "_TURN_SECONDS", 0.0)
    endpoint("/one")
    endpoint("/two")
    happen(3)
    assert run_tasks().count("webhooks.attempt") == 6
    paths = [call.path for call in receiver.calls]
    assert [set(paths[n : n + 2]) for n in (0, 2, 4)] == [{"/one", "/two"}] * 3


@pytest.mark.usefixtures("long_turns")
def test_it_ends_with_the_first_failure(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, deliveries: Rows, shown: Any
) -> None:
    endpoint_id, _ = endpoint()

    def speak(stream: Any) -> None:
        stream.write(YES if len(receiver.calls) < 4 else b"no HTTP\r\n\r\n")

    receiver.default.speak = speak
    happen(10)
    assert run_tasks().count("webhooks.attempt") == 1
    assert [row.state for row in deliveries()].count("delivered") == 3
    assert (shown(endpoint_id).failures, sum(row.attempts for row in deliveries())) == (1, 4)


@pytest.mark.usefixtures("long_turns")
def test_c13_of_a_turn_that_dies_all_comes_again_under_the_same_ids(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    deliveries: Rows,
    dies_at_commit: Any,
) -> None:
    endpoint_id, _ = endpoint()
    happen(5)
    sequence()
    services.follow()
    with dies_at_commit(), pytest.raises(ConnectionAbortedError):
        services.attempt(endpoint_id, 1)
    assert {row.state for row in deliveries()} == {"waiting"}
    run_tasks()
    ids = [call.id for call in receiver.calls]
    assert len(ids) == 10
    assert ids[:5] == ids[5:]
    assert {(row.state, row.attempts) for row in deliveries()} == {("delivered", 1)}


# --- what changes meanwhile -----------------------------------------------------------------------


@pytest.mark.usefixtures("long_turns")
@pytest.mark.parametrize("change", ["disabled", "removed"])
def test_an_endpoint_that_is_no_more_is_sent_nothing_more(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, meanwhile: Any, change: str
) -> None:
    endpoint_id, _ = endpoint()
    if change == "disabled":
        meanwhile(lambda: services.update_endpoint(endpoint_id, {"enabled": False}))
    else:
        meanwhile(lambda: services.delete_endpoint(endpoint_id))
    happen(5)
    run_tasks()
    assert len(receiver.calls) == 1


@pytest.mark.usefixtures("long_turns")
def test_c13_a_secret_that_leaked_signs_no_more_from_then_on(
    endpoint: Make, happen: Any, receiver: Receiver, run_tasks: Any, meanwhile: Any
) -> None:
    endpoint_id, old = endpoint()
    new: list[str] = []
    meanwhile(lambda: new.append(services.rotate_secret(endpoint_id, 0)))
    happen(3)
    run_tasks()
    first, *later = receiver.calls
    assert first.verified(old)
    for call in later:
        assert call.verified(new[0])
        with pytest.raises(WebhookVerificationError):
            call.verified(old)
    assert len(later) == 2


@pytest.mark.usefixtures("long_turns")
def test_of_a_person_who_was_erased_nothing_more_is_told(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    meanwhile: Any,
    new_user_id: Any,
    deliveries: Rows,
) -> None:
    ada, bob = new_user_id(), new_user_id()
    endpoint()
    meanwhile(lambda: services.erase_user(ada))
    happen(3, ada)
    happen(1, bob)
    run_tasks()
    assert [str(ada) in call.body.decode() for call in receiver.calls] == [True, False]
    assert [row.state for row in deliveries()] == ["delivered"]


@pytest.mark.parametrize("status", [410, 500])
def test_what_the_old_address_answers_is_not_held_against_the_new_one(
    endpoint: Make,
    happen: Any,
    receiver: Receiver,
    run_tasks: Any,
    meanwhile: Any,
    shown: Any,
    status: int,
) -> None:
    endpoint_id, _ = endpoint("/old")
    url = receiver.url("/new")
    meanwhile(lambda: services.update_endpoint(endpoint_id, {"url": url}), status)
    receiver.answers["/new"] = Answers()
    happen(3)
    run_tasks()
    assert [call.path for call in receiver.calls] == ["/old", "/new", "/new"]
    row = shown(endpoint_id)
    assert (row.enabled, row.failures, row.failing_since) == (True, 0, None)


@pytest.mark.sqlite_only
def test_a_turn_does_not_share_its_commit_and_is_not_interrupted(
    endpoint: Make, happen: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after its request, it would make that once more."""
    monkeypatch.setattr(together, "_pace", together._Pace())
    monkeypatch.setattr(together, "_KNOWN_RUNS", 0)  # everybody is taken for quick
    monkeypatch.setattr(together, "_TURN_SECONDS", 0.2)

    def slow(stream: Any) -> None:
        receiver.closed.wait(0.5)
        stream.write(YES)

    receiver.default.speak = slow
    endpoint_id, _ = endpoint()
    happen()
    sequence()
    services.follow()
    waiting = deque(claim_fresh("light", 50))
    while waiting:
        together.run_next(waiting)
    assert len(receiver.calls) == 1
    assert fetch_value(select(OutboxRow.error).where(OutboxRow.error.is_not(None))) is None
    assert fetch_value(select(Endpoint.turn_at).where(Endpoint.id == endpoint_id)) is None
