"""E-12: what is written on a condition is written over nothing that its writer has not seen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import fields
from werkzeug.test import TestResponse

from trellis.api import Blueprint, Schema
from trellis.errors import PreconditionRequired
from trellis.unit_of_work import UnitOfWork
from trellis_webhooks import services
from trellis_webhooks.services import endpoints, turns

ENDPOINTS = "/v1/webhooks/endpoints"
NEW = {"url": "https://hooks.example.com/in", "events": ["media.*"]}
Headers = dict[str, str]


class Desk:
    """An operator with one endpoint, which several may change at once."""

    def __init__(self, app: Flask, who: Headers) -> None:
        self.app, self.who = app, who
        made = self.client.post(ENDPOINTS, headers=who, json=NEW)
        self.id = UUID(made.get_json()["id"])
        self.path = f"{ENDPOINTS}/{self.id}"

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def get(self) -> TestResponse:
        return self.client.get(self.path, headers=self.who)

    @property
    def etag(self) -> str:
        return self.get().headers["ETag"]

    @property
    def description(self) -> str:
        return str(self.get().get_json()["description"])

    def send(self, method: str, if_match: str | None, **more: Any) -> TestResponse:
        headers = {**self.who, **more.pop("headers", {})}
        headers |= {} if if_match is None else {"If-Match": if_match}
        return self.client.open(self.path, method=method, headers=headers, **more)

    def describe(self, text: str, if_match: str | None, headers: Headers | None = None) -> Any:
        kind = {"Content-Type": "application/merge-patch+json"}
        body = {"description": text}
        return self.send("PATCH", if_match, headers=kind | (headers or {}), json=body)


@pytest.fixture
def desk(app: Flask, as_operator: Callable[..., Headers]) -> Desk:
    return Desk(app, as_operator("webhooks.manage"))


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        (None, 200),
        ("{}", 200),
        ('"other", {}', 200),
        ("*", 200),
        ('"other"', 412),
        ("W/{}", 412),
        ("W/{}, W/*", 412),
        ("", 412),
        ("nonsense", 412),
        (",,,", 412),
        ('"' + "x" * 5000, 412),
    ],
)
@pytest.mark.parametrize("key", [False, True], ids=["without a key", "with a key"])
def test_e12_only_the_strong_tag_of_what_there_is(
    desk: Desk, if_match: str | None, status: int, key: bool
) -> None:
    sent = None if if_match is None else if_match.format(desk.etag)
    headers = {"Idempotency-Key": str(uuid4())} if key else {}
    answer = desk.describe("new", sent, headers)
    assert answer.status_code == status, answer.text
    assert desk.description == ("new" if status == 200 else "")
    if status == 412:
        assert answer.get_json()["code"] == "core.precondition_failed"
        assert "ETag" not in answer.headers


def test_the_answer_has_the_next_tag(desk: Desk) -> None:
    first = desk.describe("one", desk.etag)
    assert first.headers["ETag"] == desk.etag
    assert first.headers["Cache-Control"] == "no-store"
    second = desk.describe("two", first.headers["ETag"])
    assert second.status_code == 200
    assert desk.describe("three", first.headers["ETag"]).status_code == 412
    assert desk.describe("four", None).headers["ETag"] == desk.etag


def test_a_removal_may_depend_on_it_too(desk: Desk) -> None:
    old = desk.etag
    desk.describe("new", None)
    assert desk.send("DELETE", old).status_code == 412
    assert desk.get().status_code == 200
    assert desk.send("DELETE", desk.etag).status_code == 204
    assert desk.send("DELETE", old).status_code == 404
    assert desk.describe("x", "*").status_code == 404


def test_other_faults_are_told_first(desk: Desk) -> None:
    assert desk.describe("x" * 10_000, '"old"').status_code == 422
    assert desk.send("PATCH", '"old"', json={}).status_code == 415
    assert desk.client.patch(desk.path, headers={"If-Match": "*"}).status_code == 401


def test_e08_a_repeat_gets_the_first_answer_though_its_tag_is_old(desk: Desk) -> None:
    old, key = desk.etag, {"Idempotency-Key": str(uuid4())}
    first = desk.describe("new", old, key)
    again = desk.describe("new", old, key)
    assert (again.status_code, again.data) == (200, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]


def test_a_failed_condition_is_not_remembered(desk: Desk) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    assert desk.describe("new", '"old"', key).status_code == 412
    assert desk.describe("new", desk.etag, key).status_code == 200


def test_a_condition_that_nobody_would_look_at_is_refused(desk: Desk) -> None:
    answer = desk.client.post(
        f"{desk.path}/rotate", headers={**desk.who, "If-Match": desk.etag}, json={}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (412, "core.precondition_failed")
    assert desk.get().get_json()["signing_secrets"] == 1


@pytest.mark.parametrize("key", [False, True], ids=["without keys", "with keys"])
def test_e12_of_many_at_once_one_wins(desk: Desk, key: bool) -> None:
    etag, together = desk.etag, threading.Barrier(8)

    def change(number: int) -> int:
        together.wait()
        headers = {"Idempotency-Key": f"change-number-{number}"} if key else {}
        answer: TestResponse = desk.describe(f"by {number}", etag, headers)
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(change, range(8)))
    assert sorted(statuses) == [200] + [412] * 7
    assert desk.description == f"by {statuses.index(200)}"


def test_e12_fifty_writers_lose_no_update(desk: Desk) -> None:
    def add_one(_: int) -> None:
        while True:
            seen = desk.get()
            number = int(seen.get_json()["description"] or 0)
            if desk.describe(str(number + 1), seen.headers["ETag"]).status_code == 200:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(50)))
    assert desk.description == "50"


@pytest.mark.postgresql_only
@pytest.mark.parametrize("times", [1, 3])
def test_e12_whoever_writes_between_the_look_and_the_change_wins(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A task, say, which knows of no conditions."""
    locked, left, told = turns.locked, [*range(times)], count()

    def write() -> None:
        with desk.app.app_context():
            services.update_endpoint(desk.id, {"description": f"task {next(told)}"})
            left.pop()

    def late(uow: UnitOfWork, endpoint_id: UUID) -> Any:
        uow.session.flush()  # it has begun, and the condition holds
        if left and threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        return locked(uow, endpoint_id)

    etag = desk.etag
    monkeypatch.setattr(endpoints, "locked", late)
    assert desk.describe("new", etag).status_code == 412
    assert desk.description == "task 0"
    left[:] = range(times)
    assert desk.describe("new", "*").status_code == 200
    assert (desk.description, left) == ("new", [])


# --- what a route declares ------------------------------------------------------------------------


class NoteSchema(Schema):
    """A note."""

    text = fields.String(required=True)


def notes() -> Blueprint:
    notes = Blueprint("notes", __name__, description="Notes.")

    @notes.get("/note")
    @notes.access(public="a test")
    @notes.response(200, NoteSchema)
    def show() -> Any:
        """Show the note."""
        return {"text": "a"}

    @notes.put("/note")
    @notes.access(public="a test")
    @notes.if_match(show, required=True)
    @notes.arguments(NoteSchema)
    @notes.response(200, NoteSchema)
    def write(body: dict[str, Any]) -> Any:
        """Write the note."""
        return body

    return notes


def test_e12_where_it_is_required_nothing_is_written_without(
    make_app: Callable[..., Flask],
) -> None:
    client = make_app(notes()).test_client()
    answer = client.put("/v1/notes/note", json={"text": "b"})
    assert (answer.status_code, answer.get_json()["code"]) == (428, PreconditionRequired.code)
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_document_tells_of_it(make_app: Callable[..., Flask]) -> None:
    document = make_app(notes()).test_client().get("/v1/openapi.json").get_json()
    operation = document["paths"]["/v1/notes/note"]["put"]
    [header] = [one for one in operation["parameters"] if one["name"] == "If-Match"]
    assert (header["in"], header["required"]) == ("header", True)
    assert {"412", "428"} <= set(operation["responses"])
    assert "ETag" in operation["responses"]["200"]["headers"]


def test_what_has_no_etag_guards_nothing() -> None:
    def plain() -> None: ...

    with pytest.raises(TypeError, match="plain has no ETag"):
        Blueprint("notes", __name__).if_match(plain)
