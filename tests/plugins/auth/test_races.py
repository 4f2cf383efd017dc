"""What SQLite's single writer hides: two transactions that do not see one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.locks import Pause, race
from tests.plugins.auth.conftest import DEVICE, PASSWORD, Person

from trellis.contracts import EventSink, Identity, port
from trellis.db import fetch_value
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_auth import services
from trellis_auth.models import Session, User

SESSIONS = "/v1/auth/sessions"
SIGN_UP = "/v1/auth/accounts"
VERIFY = "/v1/auth/accounts/verify"

AtOnce = Callable[..., list[Any]]


@pytest.mark.postgresql_only
def test_of_two_sessions_that_end_at_once_one_is_the_last_of_its_device(
    app: Flask,
    client: FlaskClient,
    ada: Person,
    feed: Callable[[], list[dict[str, Any]]],
) -> None:
    body = {"email": ada.email, "password": PASSWORD, "device": DEVICE}
    answers = [client.post(SESSIONS, json=body).get_json() for _ in range(2)]
    first, second = (UUID(answer["session_id"]) for answer in answers)
    pause = Pause()

    def end_first() -> None:
        with unit_of_work():
            services.end_own_session(ada.id, first)
            pause.here()

    with race(app, pause) as threads:
        one = threads.start(end_first)
        pause.reached()
        other = threads.start(services.end_own_session, ada.id, second)
        threads.settle(other.done)
        pause.release()
        one.result()
        other.result()
    ended = [event["payload"] for event in feed() if event["type"] == "auth.session_ended/1"]
    assert sorted(str(payload["device_id"]) for payload in ended) == [
        "None",
        DEVICE["installation_id"],
    ]


@pytest.mark.postgresql_only
def test_whoever_is_let_in_within_a_unit_comes_before_the_end_of_the_session(
    app: Flask, ada: Person
) -> None:
    with app.app_context():
        principal = port(Identity).authenticate(f"Bearer {ada.access_token}")
    assert principal
    pause = Pause()

    def write() -> bool:
        with unit_of_work():
            alive = port(Identity).is_alive(principal)
            pause.here()
        return alive

    with race(app, pause) as threads:
        writer = threads.start(write)
        pause.reached()
        end = threads.start(services.end_own_session, ada.id, ada.session_id)
        threads.settle(end.done)
        assert not end.done(), "the session ended while somebody was writing under it"
        pause.release()
        assert writer.result()
        end.result()
        assert not threads.start(write).result()


@pytest.mark.postgresql_only
def test_a_person_who_signs_in_while_being_erased_is_erased_with_that_session(
    app: Flask, runtime: Runtime, ada: Person
) -> None:
    pause = Pause()
    sink = runtime.ports[EventSink]

    class Slow:
        def track(self, *event: Any) -> None:
            pause.here()
            sink.track(*event)  # type: ignore[attr-defined]

    runtime.ports[EventSink] = Slow()
    body = {"email": ada.email, "password": PASSWORD, "device": DEVICE}
    with race(app, pause) as threads:
        sign_in = threads.start(lambda: app.test_client().post(SESSIONS, json=body))
        pause.reached()
        erase = threads.start(services.erase_user, ada.id)
        threads.settle(erase.done)
        pause.release()
        assert sign_in.result().status_code == 201
        assert erase.result()["sessions"] == 2
    with app.app_context():
        for table in (Session, User):
            assert fetch_value(select(func.count()).select_from(table)) == 0


def test_counts_that_are_set_back_while_others_count(
    client: FlaskClient, at_once: AtOnce, set_auth: Callable[..., None]
) -> None:
    """A new code sets the count of guesses back, whose row may go between two looks at it."""
    set_auth(mails_per_hour=60)
    account = {"email": "ada@example.com", "password": PASSWORD}
    assert client.post(SIGN_UP, json=account).status_code == 202
    guess = {"email": account["email"], "code": "000000"}
    calls = [
        lambda client: [
            client.post(f"{SIGN_UP}/verification", json={"email": account["email"]})
            for _ in range(12)
        ],
        lambda client: [client.post(VERIFY, json=guess) for _ in range(12)],
    ]
    statuses = {answer.status_code for answers in at_once(calls * 4) for answer in answers}
    assert statuses <= {202, 400, 422}
