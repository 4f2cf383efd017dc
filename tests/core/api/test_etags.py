"""What a client holds already is not sent again, and nothing is stored that must not be (E-13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import fields

from trellis.api import Blueprint, Schema


class NoteSchema(Schema):
    """A note."""

    text = fields.String()


@pytest.fixture
def note() -> dict[str, Any]:
    return {"text": "Grüße"}


@pytest.fixture
def client(make_app: Callable[..., Flask], note: dict[str, Any]) -> FlaskClient:
    notes = Blueprint("notes", __name__)

    @notes.get("/note")
    @notes.access(public="a test")
    @notes.response(200, NoteSchema)
    def show() -> Any:
        """Show the note."""
        return note

    @notes.get("/secret")
    @notes.access(public="a test")
    @notes.response(200, NoteSchema)
    def secret() -> Any:
        """Show what nobody keeps."""
        return note, {"Cache-Control": "no-store"}

    @notes.post("/note")
    @notes.access(public="a test")
    @notes.response(201, NoteSchema)
    def write() -> Any:
        """Write the note."""
        return note

    @notes.get("/kept")
    @notes.access(public="a test")
    @notes.response(200, NoteSchema)
    def kept() -> Any:
        """Show what everybody may keep for a while."""
        return note, {"Cache-Control": "public, max-age=60", "Link": "</next>"}

    return make_app(notes).test_client()


def test_e13_an_answer_has_a_strong_etag_that_changes_with_it(
    client: FlaskClient, note: dict[str, Any]
) -> None:
    first = client.get("/v1/notes/note")
    assert first.json == note
    assert first.headers["ETag"][0] == first.headers["ETag"][-1] == '"'
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert first.headers["Vary"] == "Authorization"
    assert client.get("/v1/notes/note").headers["ETag"] == first.headers["ETag"]
    note["text"] = "Servus"
    changed = client.get("/v1/notes/note", headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json) == (200, note)
    assert changed.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("held", ["{}", "W/{}", '"other", {}', "*"])
def test_e13_what_is_held_is_not_sent_again(client: FlaskClient, held: str) -> None:
    first = client.get("/v1/notes/kept")
    again = client.get(
        "/v1/notes/kept", headers={"If-None-Match": held.format(first.headers["ETag"])}
    )
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Cache-Control", "Link"):
        assert again.headers[name] == first.headers[name]
    assert not {"Content-Type", "Content-Length"} & set(again.headers.keys())


@pytest.mark.parametrize("held", ['"other"', "nonsense", ""])
def test_what_is_not_held_is_sent(client: FlaskClient, held: str) -> None:
    assert client.get("/v1/notes/note", headers={"If-None-Match": held}).status_code == 200


def test_head_tells_the_same_of_it(client: FlaskClient) -> None:
    whole, head = client.get("/v1/notes/note"), client.head("/v1/notes/note")
    assert head.data == b""
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(whole.data))


def test_e13_what_must_not_be_stored_has_no_etag(client: FlaskClient) -> None:
    secret = client.get("/v1/notes/secret", headers={"If-None-Match": "*"})
    assert (secret.status_code, secret.headers["Cache-Control"]) == (200, "no-store")
    assert "ETag" not in secret.headers


def test_what_writes_has_no_etag(client: FlaskClient) -> None:
    written = client.post("/v1/notes/note", headers={"If-None-Match": "*"})
    assert (written.status_code, written.headers["Cache-Control"]) == (201, "no-store")
    assert "ETag" not in written.headers
