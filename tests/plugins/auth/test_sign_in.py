"""Signing in: who is let in, how often one may guess, and what a device is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.plugins.auth.calls import (
    ENDED,
    SESSIONS,
    Age,
    AtOnce,
    Check,
    Feed,
    sign_in,
)
from tests.plugins.auth.conftest import DEVICE, PASSWORD, Person

from trellis.db import fetch_one, fetch_value
from trellis.testing import Scenario
from trellis_auth.models import Attempt, Device


def without_id(answer: Any) -> tuple[Any, ...]:
    """An answer without the headers and members that differ from request to request."""
    body = {name: value for name, value in answer.get_json().items() if name != "request_id"}
    headers = sorted(
        (n, v) for n, v in answer.headers if n not in ("X-Request-Id", "Content-Length")
    )
    return answer.status_code, str(body), str(headers)


def test_signing_in_gives_a_pair_of_tokens(check: Check, ada: Person) -> None:
    body = {"email": f" {ada.email.upper()}", "password": PASSWORD, "device": DEVICE}
    answer = check(
        Scenario(
            "POST",
            SESSIONS,
            201,
            json=body,
            has={"token_type": "Bearer", "expires_in": 900},
            keys=frozenset(
                {"access_token", "refresh_token", "token_type", "expires_in", "session_id"}
            ),
        )
    )
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_wrong_password_and_an_unknown_address_look_the_same(
    client: FlaskClient, ada: Person
) -> None:
    client.post("/v1/auth/accounts", json={"email": "new@example.com", "password": PASSWORD})
    answers = {
        without_id(sign_in(client, email, "not the password"))
        for email in (ada.email, "new@example.com", "stranger@example.com")
    }
    assert len(answers) == 1
    assert sign_in(client, ada.email, "not the password").get_json()["code"] == (
        "auth.invalid_credentials"
    )


def test_not_verified_is_told_only_to_who_knows_the_password(client: FlaskClient) -> None:
    client.post("/v1/auth/accounts", json={"email": "new@example.com", "password": PASSWORD})
    assert sign_in(client, "new@example.com", "not the password").status_code == 401
    answer = sign_in(client, "new@example.com")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "auth.not_verified")


def test_too_many_wrong_passwords_bring_a_wait_that_grows(
    app: Flask, client: FlaskClient, ada: Person, set_auth: Callable[..., None], age: Age
) -> None:
    set_auth(sign_in_attempts=3, sign_in_wait_seconds=60)
    waits = []
    for failures in range(10):
        for _ in range(3 if failures == 0 else 1):
            assert sign_in(client, ada.email, "not the password").status_code == 401
        blocked = sign_in(client, ada.email)
        assert blocked.status_code == 429, "the right password does not shorten the wait"
        waits.append(int(blocked.headers["Retry-After"]))
        assert blocked.get_json()["retry_after"] == waits[-1]
        age(Attempt, seconds=waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert sign_in(client, ada.email).status_code == 201
    assert [sign_in(client, ada.email, "no").status_code for _ in range(3)] == [401] * 3


def test_f21_a_clock_that_is_set_back_makes_no_wait_longer(
    client: FlaskClient, ada: Person, set_auth: Callable[..., None], age: Age
) -> None:
    set_auth(sign_in_attempts=3)
    sign_in(client, ada.email, "not the password")
    age(Attempt, hours=-1)
    assert sign_in(client, ada.email).status_code == 201
    for _ in range(3):
        sign_in(client, ada.email, "not the password")
    age(Attempt, hours=-1)
    blocked = sign_in(client, ada.email)
    assert blocked.status_code == 429
    assert int(blocked.headers["Retry-After"]) <= 1


def test_an_unknown_address_has_to_wait_too(
    client: FlaskClient, ada: Person, set_auth: Callable[..., None]
) -> None:
    set_auth(sign_in_attempts=3)
    answers = {
        email: [without_id(sign_in(client, email, "no")) for _ in range(5)]
        for email in (ada.email, "stranger@example.com")
    }
    assert [status for status, *_ in answers[ada.email]] == [401, 401, 401, 429, 429]
    assert answers[ada.email] == answers["stranger@example.com"]


def test_parallel_guesses_do_not_slip_past_the_count(
    ada: Person, set_auth: Callable[..., None], at_once: AtOnce
) -> None:
    set_auth(sign_in_attempts=3, password_wait_seconds=30)
    answers = at_once([lambda client: sign_in(client, ada.email, "no")] * 20)
    statuses = [answer.status_code for answer in answers]
    # A wait of a second begins with the third; whoever comes after it has passed counts once more.
    assert statuses.count(401) <= 5
    assert set(statuses) == {401, 429}


def test_a_failure_is_forgotten_after_a_day(
    client: FlaskClient, ada: Person, set_auth: Callable[..., None], age: Age
) -> None:
    set_auth(sign_in_attempts=3)
    for _ in range(2):
        sign_in(client, ada.email, "no")
    age(Attempt, hours=25)
    assert [sign_in(client, ada.email, "no").status_code for _ in range(3)] == [401] * 3
    assert sign_in(client, ada.email, "no").status_code == 429


def test_hashing_is_bounded_and_whoever_waits_too_long_has_not_tried(
    app: Flask, ada: Person, set_auth: Callable[..., None], at_once: AtOnce
) -> None:
    set_auth(password_hashes_at_once=1, password_wait_seconds=0.001)
    answers = at_once([lambda client: sign_in(client, ada.email, "no")] * 8)
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 503}
    assert all("Retry-After" in a.headers for a in answers if a.status_code == 503)
    with app.app_context():
        assert fetch_value(select(Attempt.count)) == statuses.count(401)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("installation_id", ""),
        ("installation_id", "a b"),
        ("installation_id", "x" * 65),
        ("installation_id", "../etc"),
        ("installation_id", "phone\n"),
        ("installation_id", 7),
        ("name", ""),
        ("name", "x" * 101),
        ("name", "line\nbreak"),
        ("platform", "toaster"),
        ("platform", None),
        ("user_id", "0198c0de-7a00-7000-8000-000000000001"),
    ],
)
def test_a_device_must_be_described_rightly(
    check: Check, ada: Person, field: str, value: Any
) -> None:
    body = {"email": ada.email, "password": PASSWORD, "device": {**DEVICE, field: value}}
    answer = check(Scenario("POST", SESSIONS, 422, json=body, code="core.invalid_input"))
    assert answer.get_json()["errors"][0]["pointer"] == f"/device/{field}"


def test_one_device_may_have_two_sessions_and_is_left_with_the_last(
    app: Flask, client: FlaskClient, ada: Person, feed: Feed
) -> None:
    pairs = [sign_in(client, ada.email, name=f"Name {n}").get_json() for n in range(2)]
    with app.app_context():
        row = fetch_one(
            select(func.count(), func.max(Device.name)).where(
                Device.installation_id == DEVICE["installation_id"]
            )
        )
    assert tuple(row or ()) == (1, "Name 1")
    for pair in pairs:
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        assert client.delete(f"{SESSIONS}/current", headers=headers).status_code == 204
    left = [event["payload"]["device_id"] for event in feed() if event["type"] == ENDED]
    assert left == [None, DEVICE["installation_id"]]
