"""E-08: who ended their own session, or closed their account, still hears what they were told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from trellis.api.idempotency import KEEP_SECONDS
from trellis.api.models import StoredAnswer
from trellis.api.tasks import purge_answers
from trellis.db import Found, database_now, fetch_all
from trellis.unit_of_work import unit_of_work
from trellis_auth import factories

ACCOUNT = "/v1/auth/account"
SESSIONS = "/v1/auth/sessions"
PASSWORD = {"password": factories.PASSWORD}

Headers = dict[str, str]
_seeds = itertools.count(1)


@pytest.fixture
def person(app: Flask) -> Callable[[], Headers]:
    """``person()`` has an account and a session; the headers that prove it."""

    def make() -> Headers:
        seed = next(_seeds)
        with app.app_context():
            [tokens] = factories.sessions(factories.users(1, seed=seed), seed=seed)
        return {"Authorization": f"Bearer {tokens.access_token}"}

    return make


@pytest.fixture
def ada(person: Callable[[], Headers]) -> Headers:
    return person()


def leave(client: FlaskClient, who: Headers, path: str, key: str = "k-1", **body: Any) -> Any:
    return client.delete(path, headers={**who, "Idempotency-Key": key}, **body)


def told(response: TestResponse) -> tuple[int, bytes, str | None]:
    return response.status_code, response.data, response.headers.get("Idempotency-Replayed")


def stored(app: Flask) -> list[Found]:
    with app.app_context():
        return list(fetch_all(select(StoredAnswer.id, StoredAnswer.subject, StoredAnswer.answer)))


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}/current", f"{SESSIONS}/{{id}}"])
def test_e08_who_signed_out_is_told_so_again(client: FlaskClient, ada: Headers, path: str) -> None:
    [session] = client.get(SESSIONS, headers=ada).get_json()["items"]
    path = path.format(id=session["id"])
    assert told(leave(client, ada, path)) == (204, b"", None)
    assert told(leave(client, ada, path)) == (204, b"", "true")


def test_e08_who_closed_the_account_learns_the_erasures_id_for_a_day(
    app: Flask, client: FlaskClient, ada: Headers, run_tasks: Callable[[], list[str]]
) -> None:
    first = leave(client, ada, ACCOUNT, json=PASSWORD)
    assert first.status_code == 202, first.text
    for _ in range(2):  # as long as the erasure runs, and when it is over
        assert told(leave(client, ada, ACCOUNT, json=PASSWORD)) == (202, first.data, "true")
        run_tasks()
    erasure = client.get(f"/v1/erasures/{first.get_json()['erasure_id']}").get_json()
    assert erasure["completed_at"] is not None
    with app.app_context():
        with unit_of_work() as uow:
            day = database_now(-KEEP_SECONDS - 1)
            uow.session.execute(update(StoredAnswer).values(created_at=day))
        purge_answers()
    assert leave(client, ada, ACCOUNT, json=PASSWORD).status_code == 401


def test_e08_nobody_else_hears_it(
    client: FlaskClient, ada: Headers, person: Callable[[], Headers]
) -> None:
    path = f"{SESSIONS}/current"
    assert leave(client, ada, path).status_code == 204
    for who, where, key in (
        (ada, path, "k-2"),
        (ada, SESSIONS, "k-1"),
        ({"Authorization": ada["Authorization"] + "x"}, path, "k-1"),
        ({"Authorization": ada["Authorization"].replace("Bearer", "bearer ")}, path, "k-1"),
        ({}, path, "k-1"),
    ):
        assert leave(client, who, where, key).status_code == 401, (where, key)
    assert client.delete(path, headers=ada).status_code == 401
    assert client.get(SESSIONS, headers={**ada, "Idempotency-Key": "k-1"}).status_code == 401
    assert told(leave(client, person(), path)) == (204, b"", None), "a session of their own"


def test_e08_another_body_is_refused_after_leaving_too(client: FlaskClient, ada: Headers) -> None:
    assert leave(client, ada, ACCOUNT, json=PASSWORD).status_code == 202
    refused = leave(client, ada, ACCOUNT, json={"password": "not the password"})
    assert (refused.status_code, refused.get_json()["code"]) == (422, "core.idempotency_key_reused")


def test_e08_what_stays_after_leaving_names_nobody(
    app: Flask, client: FlaskClient, ada: Headers, run_tasks: Callable[[], list[str]]
) -> None:
    user_id = client.get(ACCOUNT, headers=ada).get_json()["id"]
    answer = leave(client, ada, ACCOUNT, json=PASSWORD)
    assert sorted(row.subject is None for row in stored(app)) == [False, True]
    run_tasks()
    [left] = stored(app)
    assert left.subject is None
    for secret in (user_id, answer.get_json()["erasure_id"], ada["Authorization"][7:], "k-1"):
        assert secret not in left.id
        assert secret.encode() not in left.answer


def test_e08_a_deletion_that_ends_no_session_is_stored_once(
    app: Flask, client: FlaskClient, ada: Headers
) -> None:
    device = "/v1/notifications/devices/phone-1"
    body = {"platform": "ios", "push_token": "t"}
    assert client.put(device, headers=ada, json=body).status_code == 200
    assert leave(client, ada, device).status_code == 204
    [row] = stored(app)
    assert row.subject is not None


def test_e08_who_signs_out_many_times_at_once_is_never_a_stranger(app: Flask, ada: Headers) -> None:
    def call(_: int) -> int:
        with app.test_client() as client:
            return int(leave(client, ada, f"{SESSIONS}/current").status_code)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(20)))
    assert set(answers) <= {204, 409}
    assert answers.count(204) >= 1
