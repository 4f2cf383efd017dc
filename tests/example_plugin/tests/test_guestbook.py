from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from trellis.db import utcnow
from trellis.privacy import request_erasure
from trellis.testing import PluginContract, Scenario
from trellis.unit_of_work import unit_of_work

from trellis_guestbook import factories, services

ENTRIES = "/v1/guestbook/entries"
MODERATED = "/v1/guestbook/moderated-entries"

Headers = dict[str, str]
Check = Callable[[Scenario], Any]
SignIn = Callable[..., Headers]
RunTasks = Callable[..., list[str]]


class TestContract(PluginContract):
    plugin = "guestbook"


def listed(client: FlaskClient) -> list[str]:
    return [entry["text"] for entry in client.get(ENTRIES).get_json()["items"]]


def test_everybody_reads_and_signed_in_people_write(check: Check, as_user: SignIn) -> None:
    body = {"text": "Hello"}
    check(Scenario("POST", ENTRIES, 401, json=body, code="core.unauthenticated"))
    written = check(
        Scenario(
            "POST",
            ENTRIES,
            201,
            as_user(),
            json=body,
            has={"text": "Hello", "photo_id": None},
            keys=frozenset({"id", "text", "photo_id", "written_at"}),
            events=("guestbook.entry_written/1",),
            tasks=("guestbook.thank",),
        )
    )
    check(Scenario("GET", written.headers["Location"], 200, has={"text": "Hello"}, statements=1))
    check(Scenario("GET", ENTRIES, 200, has={"items": [written.get_json()]}, statements=1))
    check(Scenario("GET", f"{ENTRIES}/{uuid4()}", 404, code="core.not_found"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "core.invalid_input"),
        ({"text": ""}, "core.invalid_input"),
        ({"text": None}, "core.invalid_input"),
        ({"text": "x", "photo_id": str(uuid4())}, "core.invalid_input"),
        ({"text": "x" * 501}, "guestbook.text_too_long"),
    ],
)
def test_what_cannot_be_written(check: Check, as_user: SignIn, body: Any, code: str) -> None:
    check(Scenario("POST", ENTRIES, 422, as_user(), json=body, code=code))
    check(Scenario("GET", ENTRIES, 200, has={"items": []}))


def test_only_the_author_takes_an_entry_back(
    app: Flask, check: Check, as_user: SignIn, new_user_id: Callable[[], UUID]
) -> None:
    author = new_user_id()
    with app.app_context():
        [entry_id] = factories.make_entries(author, 1)
    path = f"{ENTRIES}/{entry_id}"
    check(Scenario("DELETE", path, 401))
    check(Scenario("DELETE", path, 404, as_user(), code="core.not_found"))
    check(Scenario("GET", path, 200))
    check(Scenario("DELETE", path, 204, as_user(author)))
    check(Scenario("DELETE", path, 404, as_user(author)))


def test_whoever_may_moderate_removes_any_entry(
    app: Flask,
    check: Check,
    as_user: SignIn,
    as_operator: SignIn,
    new_user_id: Callable[[], UUID],
) -> None:
    author = new_user_id()
    with app.app_context():
        [entry_id] = factories.make_entries(author, 1)
    path = f"{MODERATED}/{entry_id}"
    check(Scenario("DELETE", path, 401))
    check(Scenario("DELETE", path, 403, as_user(author), code="core.forbidden"))
    check(Scenario("DELETE", path, 204, as_operator("guestbook.moderate")))
    check(Scenario("GET", f"{ENTRIES}/{entry_id}", 404))


def test_who_writes_first_is_thanked_once(
    app: Flask, client: FlaskClient, as_user: SignIn, run_tasks: RunTasks
) -> None:
    author = as_user()
    for text in ("One", "Two"):
        assert client.post(ENTRIES, json={"text": text}, headers=author).status_code == 201
    run_tasks()
    if "notifications" in app.extensions["trellis"].plugins:
        inbox = client.get("/v1/notifications/messages", headers=author).get_json()["items"]
        assert [message["title"] for message in inbox] == ["Thank you!"]


def test_a_photo_is_entered_once(
    app: Flask, client: FlaskClient, new_user_id: Callable[[], UUID]
) -> None:
    photo, owner = uuid4(), new_user_id()
    with app.app_context():
        for _ in range(2):
            services.enter_photo(photo, owner)
    [entry] = client.get(ENTRIES).get_json()["items"]
    assert (entry["text"], entry["photo_id"]) == ("A new photo.", str(photo))


def test_the_event_of_a_ready_photo_is_heard(app: Flask) -> None:
    runtime = app.extensions["trellis"]
    if "media" in runtime.plugins:
        assert "guestbook.enter_photo" in runtime.listeners["media.asset_ready/1"]


def test_old_entries_go(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    new_user_id: Callable[[], UUID],
) -> None:
    with app.app_context():
        monkeypatch.setattr(services, "utcnow", lambda: utcnow() - timedelta(days=366))
        services.write_many(new_user_id(), ["Long ago"])
        monkeypatch.undo()
        services.write_many(new_user_id(), ["Just now"])
        services.drop_old_entries()
    assert listed(client) == ["Just now"]


def test_nothing_of_a_person_remains_after_erasure(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    run_tasks: RunTasks,
    new_user_id: Callable[[], UUID],
) -> None:
    leaving, staying = new_user_id(), new_user_id()
    for author in (leaving, staying):
        body = {"text": f"I am {author}"}
        assert client.post(ENTRIES, json=body, headers=as_user(author)).status_code == 201
    with app.app_context():
        assert len(services.export_user(leaving)["entries"]) == 1
        with unit_of_work() as uow:
            request_erasure(uow, leaving)
    run_tasks()
    assert listed(client) == [f"I am {staying}"]
    with app.app_context():
        services.thank(leaving)  # was under way
        assert services.export_user(leaving) == {"entries": []}
        assert services.erase_user(leaving) == {"entries": 0}


def test_one_seed_writes_the_same(app: Flask, new_user_id: Callable[[], UUID]) -> None:
    with app.app_context():
        texts = []
        for _ in range(2):
            author = new_user_id()
            factories.make_entries(author, seed=4)
            texts.append([entry["text"] for entry in services.export_user(author)["entries"]])
    assert texts[0] == texts[1]
