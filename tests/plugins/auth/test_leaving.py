from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.plugins.auth.conftest import DEVICE, PASSWORD, Person

from trellis.db import fetch_value
from trellis.local.mailbox import Mail
from trellis.privacy import request_erasure
from trellis.testing import Scenario
from trellis.unit_of_work import unit_of_work
from trellis_auth import services
from trellis_auth.models import Session, User

ACCOUNT = "/v1/auth/account"
SESSIONS = "/v1/auth/sessions"

AtOnce = Callable[..., list[Any]]
Check = Callable[[Scenario], Any]


def close(client: FlaskClient, person: Person, password: str = PASSWORD) -> Any:
    return client.delete(ACCOUNT, headers=person.headers, json={"password": password})


def test_a_person_sees_their_account(check: Check, ada: Person) -> None:
    check(
        Scenario(
            "GET",
            ACCOUNT,
            200,
            who=ada.headers,
            has={"id": str(ada.id), "email": ada.email, "role": "user"},
            keys=frozenset({"id", "email", "role", "created_at"}),
            statements=2,
        )
    )


def test_closing_an_account_ends_it_at_once(
    client: FlaskClient, ada: Person, bob: Person, feed: Callable[[], list[dict[str, Any]]]
) -> None:
    body = {"email": ada.email, "password": PASSWORD, "device": DEVICE}
    other = client.post(SESSIONS, json=body).get_json()
    answer = close(client, ada)
    assert answer.status_code == 202
    assert set(answer.get_json()) == {"erasure_id"}
    for token in (ada.access_token, other["access_token"]):
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get(ACCOUNT, headers=headers).status_code == 401
    for token in (ada.refresh_token, other["refresh_token"]):
        answer = client.post("/v1/auth/tokens", json={"refresh_token": token})
        assert answer.status_code == 401
    assert client.post(SESSIONS, json=body).status_code == 401
    assert [event["type"] for event in feed()] == ["auth.session_ended/1"] * 2
    assert client.get(ACCOUNT, headers=bob.headers).status_code == 200


def test_the_password_is_asked_for(
    client: FlaskClient, check: Check, ada: Person, set_auth: Callable[..., None]
) -> None:
    set_auth(sign_in_attempts=3)
    check(Scenario("DELETE", ACCOUNT, 422, who=ada.headers, json={}))
    wrong = {"password": "not the password"}
    for _ in range(3):
        check(
            Scenario(
                "DELETE", ACCOUNT, 403, who=ada.headers, json=wrong, code="auth.wrong_password"
            )
        )
    right = {"password": PASSWORD}
    check(
        Scenario("DELETE", ACCOUNT, 429, who=ada.headers, json=right, code="auth.too_many_attempts")
    )
    assert client.get(ACCOUNT, headers=ada.headers).status_code == 200


def test_nothing_of_the_person_remains(
    client: FlaskClient,
    ada: Person,
    bob: Person,
    stored: Callable[[], str],
    run_tasks: Callable[[], list[str]],
    mails: Callable[[str], list[Mail]],
) -> None:
    body = {"email": ada.email, "password": PASSWORD, "device": DEVICE}
    client.post(SESSIONS, json=body)
    client.post("/v1/auth/accounts", json={"email": ada.email, "password": PASSWORD})
    assert len(mails(ada.email)) == 1
    before = stored().casefold()
    traces = [ada.email, ada.id.hex, str(ada.id), ada.session_id.hex, "device-1", "phone-1"]
    assert all(trace in before for trace in (ada.email, ada.id.hex, ada.session_id.hex))
    erasure = close(client, ada).get_json()["erasure_id"]
    assert ada.email not in stored().casefold(), "the address is free at once"
    run_tasks()
    state = client.get(f"/v1/erasures/{erasure}").get_json()
    assert state["completed_at"] is not None
    after = stored().casefold()
    assert [trace for trace in traces if trace in after] == []
    assert mails(ada.email) == []
    assert "auth.account_closed" in after
    assert bob.email in after


def test_the_address_can_sign_up_anew_at_once(
    client: FlaskClient,
    app: Flask,
    ada: Person,
    code_for: Callable[[str], str],
    run_tasks: Callable[[], list[str]],
) -> None:
    close(client, ada)
    body = {"email": ada.email, "password": "another password"}
    assert client.post("/v1/auth/accounts", json=body).status_code == 202
    code = code_for(ada.email)
    run_tasks()
    answer = client.post("/v1/auth/accounts/verify", json={"email": ada.email, "code": code})
    assert answer.status_code == 204
    with app.app_context():
        assert fetch_value(select(User.id)) != ada.id


def test_two_closings_at_once_make_one_erasure(
    ada: Person, at_once: AtOnce, set_auth: Callable[..., None]
) -> None:
    set_auth(password_wait_seconds=30)
    answers = at_once([lambda client: close(client, ada)] * 6)
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(202) == 1
    assert set(statuses) <= {202, 401, 403, 404}


def test_no_session_survives_a_sign_in_that_races_the_closing(
    app: Flask,
    ada: Person,
    at_once: AtOnce,
    set_auth: Callable[..., None],
    run_tasks: Callable[[], list[str]],
) -> None:
    set_auth(password_wait_seconds=30)
    body = {"email": ada.email, "password": PASSWORD, "device": DEVICE}
    sign_ins = [lambda client: client.post(SESSIONS, json=body)] * 5
    answers = at_once([*sign_ins, lambda client: close(client, ada)])
    assert answers[-1].status_code == 202
    assert {answer.status_code for answer in answers[:-1]} <= {201, 401}
    with app.app_context():
        alive = select(func.count()).select_from(Session).where(Session.ended_at.is_(None))
        assert fetch_value(alive) == 0
    run_tasks()
    with app.app_context():
        assert fetch_value(select(func.count()).select_from(Session)) == 0


def test_erasing_whoever_did_not_close_their_account_signs_them_out(
    app: Flask, client: FlaskClient, ada: Person, bob: Person, run_tasks: Callable[[], list[str]]
) -> None:
    with app.app_context(), unit_of_work() as uow:
        request_erasure(uow, ada.id)
    run_tasks()
    assert client.get(ACCOUNT, headers=ada.headers).status_code == 401
    assert client.get(ACCOUNT, headers=bob.headers).status_code == 200
    with app.app_context():
        assert services.export_user(ada.id) == {}
        assert set(services.erase_user(ada.id).values()) == {0}


def test_what_is_held_of_a_person_can_be_taken_along(
    app: Flask, client: FlaskClient, ada: Person, bob: Person
) -> None:
    with app.app_context():
        export = services.export_user(ada.id)
        assert services.export_user(UUID(int=0)) == {}
    text = json.dumps(export)
    assert set(export) == {"account", "devices", "sessions"}
    assert export["account"]["email"] == ada.email
    assert export["sessions"][0]["id"] == str(ada.session_id)
    assert export["devices"][0]["installation_id"] == "device-1"
    for secret in ("password", "refresh_key", bob.email):
        assert secret not in text
