"""People see their sessions and end them, and what is ended is out at once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient
from tests.plugins.auth.calls import (
    ENDED,
    SESSIONS,
    Age,
    AtOnce,
    Check,
    Feed,
    is_in,
    refresh,
    sign_in,
)
from tests.plugins.auth.conftest import Person

from trellis.testing import Scenario
from trellis_auth import factories


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
