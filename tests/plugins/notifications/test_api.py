"""The routes: who may call them, what comes back, and what they do besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from trellis.testing import Scenario
from trellis_notifications import factories, services

Headers = Mapping[str, str]
AsUser = Callable[..., Headers]
Check = Callable[[Scenario], Any]
NewId = Callable[[], UUID]

MESSAGES = "/v1/notifications/messages"
DEVICES = "/v1/notifications/devices"
UNREAD = "/v1/notifications/unread-count"
NOBODYS = "00000000-0000-7000-8000-000000000000"
REGISTRATION = {"platform": "ios", "push_token": "token"}


@pytest.fixture
def ada(new_user_id: NewId) -> UUID:
    return new_user_id()


@pytest.fixture
def inbox(app: Flask, ada: UUID) -> list[str]:
    """Ids of Ada's three messages, the oldest first."""
    with app.app_context():
        return [str(message_id) for message_id in factories.messages(ada, 3)]


@pytest.fixture
def device(app: Flask, ada: UUID) -> str:
    """The installation id of Ada's device."""
    with app.app_context():
        return factories.registrations(ada, 1)[0]


def test_anonymous_callers_are_refused(check: Check, inbox: list[str], device: str) -> None:
    for method, path, body in (
        ("GET", MESSAGES, None),
        ("GET", UNREAD, None),
        ("GET", f"{MESSAGES}/{inbox[0]}", None),
        ("POST", f"{MESSAGES}/{inbox[0]}/read", None),
        ("PUT", f"{DEVICES}/{device}", REGISTRATION),
        ("DELETE", f"{DEVICES}/{device}", None),
    ):
        check(Scenario(method, path, 401, json=body, code="core.unauthenticated"))


def test_the_inbox_is_ones_own(
    check: Check, as_user: AsUser, ada: UUID, inbox: list[str], device: str
) -> None:
    bob = as_user()
    check(Scenario("GET", MESSAGES, 200, bob, has={"items": [], "next_cursor": None}))
    check(Scenario("GET", UNREAD, 200, bob, has={"unread": 0}))
    check(Scenario("GET", f"{MESSAGES}/{inbox[0]}", 404, bob, code="core.not_found"))
    check(Scenario("POST", f"{MESSAGES}/{inbox[0]}/read", 404, bob, code="core.not_found"))
    check(Scenario("DELETE", f"{DEVICES}/{device}", 404, bob, code="core.not_found"))
    check(Scenario("GET", UNREAD, 200, as_user(ada), has={"unread": 3}))


def test_a_service_has_no_inbox(check: Check, as_operator: AsUser) -> None:
    check(Scenario("GET", MESSAGES, 200, as_operator(), has={"items": []}))


def test_one_message(check: Check, as_user: AsUser, ada: UUID, inbox: list[str]) -> None:
    response = check(
        Scenario(
            "GET",
            f"{MESSAGES}/{inbox[0]}",
            200,
            as_user(ada),
            keys=frozenset({"id", "kind", "title", "body", "data", "created_at", "read_at"}),
            has={"id": inbox[0], "kind": "notifications.example", "read_at": None},
            statements=1,
        )
    )
    assert response.json["created_at"].endswith("Z")


@pytest.mark.parametrize("message_id", [NOBODYS, "1", "x" * 5000, "%00", "..", "' OR 1=1"])
def test_a_message_that_is_not_there(check: Check, as_user: AsUser, message_id: str) -> None:
    status = 400 if message_id == "%00" else 404
    check(Scenario("GET", f"{MESSAGES}/{message_id}", status, as_user()))


def test_pages_go_from_new_to_old(
    check: Check, as_user: AsUser, ada: UUID, inbox: list[str]
) -> None:
    who = as_user(ada)
    first = check(Scenario("GET", MESSAGES, 200, who, query={"limit": "2"}, statements=1))
    assert [item["id"] for item in first.json["items"]] == [inbox[2], inbox[1]]
    assert 'rel="next"' in first.headers["Link"]
    cursor = first.json["next_cursor"]
    second = check(Scenario("GET", MESSAGES, 200, who, query={"limit": "2", "cursor": cursor}))
    assert [item["id"] for item in second.json["items"]] == [inbox[0]]
    assert second.json["next_cursor"] is None


def test_a_message_that_comes_between_two_pages_moves_nothing(
    app: Flask, check: Check, as_user: AsUser, ada: UUID, inbox: list[str]
) -> None:
    who = as_user(ada)
    first = check(Scenario("GET", MESSAGES, 200, who, query={"limit": "1"}))
    with app.app_context():
        factories.messages(ada, 2)
    cursor = first.json["next_cursor"]
    rest = check(Scenario("GET", MESSAGES, 200, who, query={"cursor": cursor}))
    assert [item["id"] for item in rest.json["items"]] == [inbox[1], inbox[0]]


def test_anothers_cursor_opens_only_ones_own_inbox(
    check: Check, as_user: AsUser, ada: UUID, inbox: list[str]
) -> None:
    page = check(Scenario("GET", MESSAGES, 200, as_user(ada), query={"limit": "1"}))
    cursor = page.json["next_cursor"]
    check(Scenario("GET", MESSAGES, 200, as_user(), query={"cursor": cursor}, has={"items": []}))


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "!"},
        {"cursor": "bnVsbA"},
        {"cursor": "WyJ4Il0"},
        {"cursor": "x" * 2000},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "1e3"},
        {"unread": "yes please"},
        {"user_id": NOBODYS},
    ],
)
def test_a_query_that_means_nothing_is_refused(
    check: Check, as_user: AsUser, query: dict[str, str]
) -> None:
    check(Scenario("GET", MESSAGES, 422, as_user(), query=query, code="core.invalid_input"))


def test_reading(check: Check, as_user: AsUser, ada: UUID, inbox: list[str]) -> None:
    who, path = as_user(ada), f"{MESSAGES}/{inbox[1]}"
    unread = {"unread": "true"}
    for _ in range(2):
        response = check(Scenario("POST", f"{path}/read", 204, who))
        assert response.data == b""
        check(Scenario("GET", UNREAD, 200, who, has={"unread": 2}))
        page = check(Scenario("GET", MESSAGES, 200, who, query=unread))
        assert [item["id"] for item in page.json["items"]] == [inbox[2], inbox[0]]
    assert check(Scenario("GET", path, 200, who)).json["read_at"].endswith("Z")
    everything = check(Scenario("GET", MESSAGES, 200, who, query={"unread": "false"}))
    assert len(everything.json["items"]) == 3


def test_the_unread_count_is_cached(
    check: Check, as_user: AsUser, ada: UUID, inbox: list[str]
) -> None:
    who = as_user(ada)
    check(Scenario("GET", UNREAD, 200, who, has={"unread": 3}, statements=1))
    check(Scenario("GET", UNREAD, 200, who, has={"unread": 3}, statements=0))


def test_registering_a_device_twice(app: Flask, check: Check, as_user: AsUser, ada: UUID) -> None:
    who = as_user(ada)
    for _ in range(2):
        response = check(
            Scenario(
                "PUT",
                f"{DEVICES}/phone",
                200,
                who,
                json=REGISTRATION,
                keys=frozenset({"installation_id", "platform", "registered_at"}),
                has={"installation_id": "phone", "platform": "ios"},
                lacks=("token",),
            )
        )
        assert response.json["registered_at"].endswith("Z")
    with app.app_context():
        assert [d["push_token"] for d in services.export_user(ada)["devices"]] == ["token"]
    check(Scenario("DELETE", f"{DEVICES}/phone", 204, who))
    check(Scenario("DELETE", f"{DEVICES}/phone", 404, who, code="core.not_found"))


def test_registering_anothers_token_moves_it(
    app: Flask, check: Check, as_user: AsUser, ada: UUID, new_user_id: NewId
) -> None:
    """C-08."""
    bob = new_user_id()
    check(Scenario("PUT", f"{DEVICES}/phone", 200, as_user(ada), json=REGISTRATION))
    check(Scenario("PUT", f"{DEVICES}/phone", 200, as_user(bob), json=REGISTRATION))
    with app.app_context():
        assert services.export_user(ada)["devices"] == []
        assert len(services.export_user(bob)["devices"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"push_token": "token"}, "/platform"),
        ({"platform": "ios"}, "/push_token"),
        ({"platform": "windows", "push_token": "token"}, "/platform"),
        ({"platform": "ios", "push_token": ""}, "/push_token"),
        ({"platform": "ios", "push_token": "x" * 2001}, "/push_token"),
        ({"platform": "ios", "push_token": "to ken"}, "/push_token"),
        ({"platform": "ios", "push_token": "token\n"}, "/push_token"),
        ({"platform": "ios", "push_token": "tökén"}, "/push_token"),
        ({"platform": "ios", "push_token": ["token"]}, "/push_token"),
        ({"platform": "ios", "push_token": None}, "/push_token"),
        ({**REGISTRATION, "user_id": NOBODYS}, "/user_id"),
    ],
)
def test_a_registration_that_is_not_one(
    check: Check, as_user: AsUser, body: dict[str, Any], pointer: str
) -> None:
    scenario = Scenario(
        "PUT", f"{DEVICES}/phone", 422, as_user(), json=body, code="core.invalid_input"
    )
    response = check(scenario)
    assert [error["pointer"] for error in response.json["errors"]] == [pointer]


@pytest.mark.parametrize("installation_id", ["x" * 101, "a b", "ü", "a%0A", "%F0%9F%98%80"])
def test_an_installation_id_that_is_not_one(
    check: Check, as_user: AsUser, installation_id: str
) -> None:
    path = f"{DEVICES}/{installation_id}"
    for method, body in (("PUT", REGISTRATION), ("DELETE", None)):
        response = check(
            Scenario(method, path, 422, as_user(), json=body, code="core.invalid_input")
        )
        (error,) = response.json["errors"]
        assert (error["location"], error["pointer"]) == ("path", "/installation_id")


def test_methods_that_are_not_there(check: Check, as_user: AsUser, inbox: list[str]) -> None:
    who = as_user()
    for method, path in (
        ("DELETE", f"{MESSAGES}/{inbox[0]}"),
        ("POST", MESSAGES),
        ("GET", f"{DEVICES}/phone"),
        ("GET", f"{MESSAGES}/{inbox[0]}/read"),
    ):
        check(Scenario(method, path, 405, who, code="core.method_not_allowed"))
