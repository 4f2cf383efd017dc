"""Refreshing rotates; a token that is used again later ends the session."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from tests.plugins.auth.calls import (
    ENDED,
    TOKENS,
    Age,
    AtOnce,
    Check,
    Feed,
    is_in,
    refresh,
    sign_in,
)
from tests.plugins.auth.conftest import Person

from trellis.db import fetch_all, fetch_value
from trellis.testing import Scenario
from trellis_auth.models import Session


def test_refreshing_rotates(client: FlaskClient, ada: Person) -> None:
    token, seen = ada.refresh_token, {ada.refresh_token}
    for _ in range(3):
        answer = refresh(client, token)
        assert answer.status_code == 200
        pair = answer.get_json()
        assert pair["session_id"] == str(ada.session_id)
        assert is_in(client, pair["access_token"])
        token = pair["refresh_token"]
        assert token not in seen
        seen.add(token)
    assert is_in(client, ada.access_token), "an access token lives until it expires"


def test_a_lost_answer_does_not_sign_out(
    app: Flask, client: FlaskClient, ada: Person, age: Age
) -> None:
    lost = refresh(client, ada.refresh_token).get_json()
    again = refresh(client, ada.refresh_token)
    assert again.status_code == 200
    assert again.get_json()["refresh_token"] == lost["refresh_token"]
    assert is_in(client, again.get_json()["access_token"])
    assert refresh(client, lost["refresh_token"]).status_code == 200


def test_parallel_refreshes_leave_one_living_session(
    client: FlaskClient, ada: Person, at_once: AtOnce
) -> None:
    answers = at_once([lambda client: refresh(client, ada.refresh_token)] * 20)
    assert {answer.status_code for answer in answers} == {200}
    tokens = {answer.get_json()["refresh_token"] for answer in answers}
    assert len(tokens) == 1
    assert refresh(client, tokens.pop()).status_code == 200
    assert all(is_in(client, answer.get_json()["access_token"]) for answer in answers)


def test_a_token_used_again_later_ends_the_session(
    client: FlaskClient, check: Check, ada: Person, bob: Person, age: Age
) -> None:
    newest = refresh(client, ada.refresh_token).get_json()
    age(Session, seconds=11)
    check(
        Scenario(
            "POST",
            TOKENS,
            401,
            json={"refresh_token": ada.refresh_token},
            code="auth.invalid_refresh_token",
            events=(ENDED,),
            tasks=("notifications.forget_device",),
        )
    )
    assert refresh(client, newest["refresh_token"]).status_code == 401
    assert not is_in(client, newest["access_token"])
    assert is_in(client, bob.access_token)


def test_a_token_from_before_the_last_ends_the_session_at_any_time(
    client: FlaskClient, ada: Person
) -> None:
    first = refresh(client, ada.refresh_token).get_json()
    second = refresh(client, first["refresh_token"]).get_json()
    assert refresh(client, ada.refresh_token).status_code == 401
    assert not is_in(client, second["access_token"])


def test_twenty_parallel_uses_of_an_old_token_end_the_session_once(
    client: FlaskClient, ada: Person, at_once: AtOnce, age: Age, feed: Feed
) -> None:
    refresh(client, ada.refresh_token)
    age(Session, seconds=11)
    answers = at_once([lambda client: refresh(client, ada.refresh_token)] * 20)
    assert {answer.status_code for answer in answers} == {401}
    assert [event["type"] for event in feed()].count(ENDED) == 1


def forgeries(token: str) -> list[str]:
    raw = urlsafe_b64decode(token[4:] + "==")

    def spelt(raw: bytes) -> str:
        return "rt1." + urlsafe_b64encode(raw).rstrip(b"=").decode()

    return [
        "x",
        "rt1.",
        token[:-1],
        token + "A",
        token + "=",
        token[:10] + "!" + token[10:],
        token.replace("rt1.", "rt2."),
        token[4:],
        spelt(raw[:-1]),
        spelt(raw[:24] + bytes(32)),
        spelt(raw[:23] + b"\x01" + raw[24:]),
        spelt(uuid4().bytes + raw[16:]),
        spelt(raw[:16] + b"\xff" * 8 + raw[24:]),
        "é" * 70,
    ]


def test_a_forged_token_is_refused_and_ends_nothing(client: FlaskClient, ada: Person) -> None:
    for token in forgeries(ada.refresh_token):
        assert refresh(client, token).status_code == 401, token
    assert refresh(client, ada.refresh_token).status_code == 200


def test_an_access_token_refreshes_nothing_and_the_reverse(
    client: FlaskClient, ada: Person
) -> None:
    assert refresh(client, ada.access_token).status_code in (401, 422)
    assert not is_in(client, ada.refresh_token)


def test_refreshing_does_not_lengthen_the_life_of_a_session(
    app: Flask, client: FlaskClient, ada: Person, age: Age
) -> None:
    with app.app_context():
        before = fetch_value(select(Session.expires_at))
    age(Session, days=364)
    token = refresh(client, ada.refresh_token).get_json()["refresh_token"]
    age(Session, days=1.1)
    assert refresh(client, token).status_code == 401
    assert not is_in(client, ada.access_token)
    with app.app_context():
        assert fetch_value(select(Session.expires_at)) < before


def test_no_token_lies_in_the_database(
    client: FlaskClient, ada: Person, stored: Callable[[], str]
) -> None:
    pair = sign_in(client, ada.email).get_json()
    key = fetch_keys(client.application)
    held = stored()
    assert str(ada.session_id) in held or ada.session_id.hex in held
    for secret in (pair["refresh_token"], pair["access_token"], ada.refresh_token, *key):
        assert secret not in held


def fetch_keys(app: Flask) -> list[str]:
    with app.app_context():
        return [row.refresh_key for row in fetch_all(select(Session.refresh_key))]
