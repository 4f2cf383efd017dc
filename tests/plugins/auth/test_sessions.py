from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.plugins.auth.conftest import DEVICE, PASSWORD, Person

from trellis.db import fetch_all, fetch_one, fetch_value
from trellis.testing import Scenario
from trellis_auth import factories
from trellis_auth.models import Attempt, Device, Session

SESSIONS = "/v1/auth/sessions"
TOKENS = "/v1/auth/tokens"
ACCOUNT = "/v1/auth/account"
ENDED = "auth.session_ended/1"

Age = Callable[..., None]
AtOnce = Callable[..., list[Any]]
Check = Callable[[Scenario], Any]
Feed = Callable[[], list[dict[str, Any]]]


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD, **device: Any) -> Any:
    body = {"email": email, "password": password, "device": {**DEVICE, **device}}
    return client.post(SESSIONS, json=body)


def refresh(client: FlaskClient, token: str) -> Any:
    return client.post(TOKENS, json={"refresh_token": token})


def is_in(client: FlaskClient, access_token: str) -> bool:
    answer = client.get(ACCOUNT, headers={"Authorization": f"Bearer {access_token}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def without_id(answer: Any) -> tuple[Any, ...]:
    """An answer without the headers and members that differ from request to request."""
    body = {name: value for name, value in answer.get_json().items() if name != "request_id"}
    headers = sorted(
        (n, v) for n, v in answer.headers if n not in ("X-Request-Id", "Content-Length")
    )
    return answer.status_code, str(body), str(headers)


# --- signing in -----------------------------------------------------------------------------------


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


# --- refreshing -----------------------------------------------------------------------------------


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


# --- looking and ending ---------------------------------------------------------------------------


def test_a_person_sees_their_own_sessions(
    app: Flask, client: FlaskClient, ada: Person, bob: Person, age: Age
) -> None:
    with app.app_context():
        for seed in range(3, 8):
            factories.sessions([ada.id], seed=seed)
    seen: list[dict[str, Any]] = []
    path = f"{SESSIONS}?limit=4"
    while path:
        answer = client.get(path, headers=ada.headers)
        seen += answer.get_json()["items"]
        cursor = answer.get_json()["next_cursor"]
        path = f"{SESSIONS}?limit=4&cursor={cursor}" if cursor else ""
    assert [one["device"]["installation_id"] for one in seen] == [
        f"device-{seed}" for seed in (7, 6, 5, 4, 3, 1)
    ]
    assert [one["id"] for one in seen if one["current"]] == [str(ada.session_id)]
    assert set(seen[0]) == {"id", "device", "client_id", "created_at", "last_seen_at", "current"}
    assert seen[0]["client_id"] == "trellis-app"


def test_an_ended_session_is_out_at_once_and_out_of_the_list(
    client: FlaskClient, check: Check, ada: Person
) -> None:
    other = sign_in(client, ada.email).get_json()
    assert is_in(client, other["access_token"]), "now it is remembered"
    check(
        Scenario(
            "DELETE",
            f"{SESSIONS}/{other['session_id']}",
            204,
            who=ada.headers,
            events=(ENDED,),
            tasks=("notifications.forget_device",),
        )
    )
    assert not is_in(client, other["access_token"])
    assert refresh(client, other["refresh_token"]).status_code == 401
    listed = client.get(SESSIONS, headers=ada.headers).get_json()["items"]
    assert [one["id"] for one in listed] == [str(ada.session_id)]
    check(Scenario("DELETE", f"{SESSIONS}/{other['session_id']}", 404, who=ada.headers))


def test_the_event_tells_who_what_and_where(client: FlaskClient, ada: Person, feed: Feed) -> None:
    client.delete(f"{SESSIONS}/current", headers=ada.headers)
    assert feed() == [
        {
            "type": ENDED,
            "audience": f"user:{ada.id}",
            "payload": {
                "session_id": str(ada.session_id),
                "user_id": str(ada.id),
                "device_id": "device-1",
            },
        }
    ]


def test_nobody_ends_or_sees_another_persons_session(
    client: FlaskClient, check: Check, ada: Person, bob: Person
) -> None:
    for session_id in (bob.session_id, uuid4()):
        check(Scenario("DELETE", f"{SESSIONS}/{session_id}", 404, who=ada.headers))
    assert is_in(client, bob.access_token)
    listed = client.get(SESSIONS, headers=ada.headers)
    assert str(bob.session_id) not in listed.text


def test_ending_all_sessions_ends_ones_own_and_no_other(
    client: FlaskClient, check: Check, ada: Person, bob: Person
) -> None:
    other = sign_in(client, ada.email).get_json()
    check(
        Scenario(
            "DELETE",
            SESSIONS,
            204,
            who=ada.headers,
            events=(ENDED, ENDED),
            tasks=("notifications.forget_device",) * 2,
        )
    )
    assert not is_in(client, ada.access_token)
    assert not is_in(client, other["access_token"])
    assert is_in(client, bob.access_token)


def test_signing_out_twice_at_once_ends_the_session_once(
    ada: Person, at_once: AtOnce, feed: Feed
) -> None:
    answers = at_once(
        [lambda client: client.delete(f"{SESSIONS}/current", headers=ada.headers)] * 8
    )
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {204, 401, 404}
    assert [event["type"] for event in feed()] == [ENDED]
