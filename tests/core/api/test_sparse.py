"""Answers in part: only what the client asks for, and nothing that is not there."""

from __future__ import annotations

import gc
import linecache
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import fields, post_dump

from trellis.api import Blueprint, Schema
from trellis.paging import Page


class PhotoSchema(Schema):
    """A photo."""

    url = fields.String()
    width = fields.Integer(data_key="Width")


class OwnerSchema(Schema):
    """A person."""

    name = fields.String()
    address = fields.String()


class NoteSchema(Schema):
    """A note."""

    id = fields.Integer()
    text = fields.String(data_key="Text")
    photo = fields.Nested(PhotoSchema)
    photos = fields.List(fields.Nested(PhotoSchema))
    owner = fields.Nested(OwnerSchema)
    hidden = fields.String(load_only=True)


PHOTO = {"url": "/p", "width": 3}
NOTE = {
    "id": 1,
    "text": "Hello",
    "photo": PHOTO,
    "photos": [PHOTO],
    "owner": {"name": "Ada", "address": "private"},
    "hidden": "x",
}


class MadeSchema(Schema):
    """What a hook makes of it."""

    id = fields.Integer()

    @post_dump
    def doubled(self, data: Any, **_: Any) -> Any:
        return {"id": data["id"] * 2}


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    notes = Blueprint("notes", __name__)
    protocol = Blueprint("notes", __name__, mount="/.well-known")

    @notes.get("/notes/1")
    @notes.access(public="a test")
    @notes.response(200, NoteSchema(exclude=["owner.address"]))
    def show() -> Any:
        """Show the note."""
        return NOTE

    @notes.get("/made")
    @notes.access(public="a test")
    @notes.response(200, MadeSchema)
    def made() -> Any:
        """Show what a hook makes."""
        return NOTE

    @notes.get("/notes")
    @notes.access(public="a test")
    @notes.paginated(NoteSchema)
    def several(*, cursor: str | None, limit: int) -> Any:
        """List notes."""
        return Page([NOTE] * 2, "next")

    @notes.post("/notes")
    @notes.access(public="a test")
    @notes.response(201, NoteSchema)
    def write() -> Any:
        """Write a note."""
        return NOTE

    @protocol.get("/note")
    @protocol.access(public="a test")
    @protocol.response(200, NoteSchema)
    def note() -> Any:
        """Show the note as a protocol does."""
        return NOTE

    return make_app(notes, protocol).test_client()


WHOLE = {
    "id": 1,
    "Text": "Hello",
    "photo": {"url": "/p", "Width": 3},
    "photos": [{"url": "/p", "Width": 3}],
    "owner": {"name": "Ada", "address": "private"},
}


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ("id", {"id": 1}),
        ("Text,id", {"id": 1, "Text": "Hello"}),
        ("id,id", {"id": 1}),
        ("photo.Width", {"photo": {"Width": 3}}),
        ("photos.url,id", {"id": 1, "photos": [{"url": "/p"}]}),
        ("photo", {"photo": {"url": "/p", "Width": 3}}),
        ("photo.url,photo", {"photo": {"url": "/p", "Width": 3}}),
        ("owner.name", {"owner": {"name": "Ada"}}),
    ],
)
def test_only_what_is_named_is_answered(client: FlaskClient, named: str, answer: Any) -> None:
    assert client.get("/v1/notes/notes/1", query_string={"fields": named}).json == answer
    page = client.get("/v1/notes/notes", query_string={"fields": named, "limit": 5})
    assert page.json == {"items": [answer, answer], "next_cursor": "next"}
    assert "fields=" in page.headers["Link"]
    head = client.head("/v1/notes/notes", query_string={"fields": named, "limit": 5})
    assert head.headers["ETag"] == page.headers["ETag"]


def test_each_part_has_an_etag_of_its_own(client: FlaskClient) -> None:
    whole = client.get("/v1/notes/notes/1")
    assert whole.json == WHOLE | {"owner": {"name": "Ada"}}
    part = client.get(
        "/v1/notes/notes/1?fields=id", headers={"If-None-Match": whole.headers["ETag"]}
    )
    assert (part.status_code, part.json) == (200, {"id": 1})


@pytest.mark.parametrize(
    "named", ["", "text", "hidden", "id,", "photo.none", "id.id", "photo.", "items", "__class__"]
)
@pytest.mark.parametrize("path", ["/v1/notes/notes/1", "/v1/notes/notes"])
def test_a_field_that_there_is_not_is_refused(client: FlaskClient, path: str, named: str) -> None:
    refused = client.get(path, query_string={"fields": named})
    assert refused.status_code == 422
    assert refused.json is not None
    [error] = refused.json["errors"]
    assert (error["location"], error["pointer"]) == ("query", "/fields")


def test_no_choice_brings_back_what_is_excluded(client: FlaskClient) -> None:
    answer = client.get("/v1/notes/notes/1?fields=owner,id").json
    assert answer == {"id": 1, "owner": {"name": "Ada"}}
    assert client.get("/v1/notes/notes/1?fields=owner.address").status_code == 422


def test_what_a_hook_makes_is_answered_whole(client: FlaskClient) -> None:
    assert client.get("/v1/notes/made").json == {"id": 2}
    assert client.get("/v1/notes/made?fields=id").status_code == 422


def test_choices_of_many_callers_leave_nothing_behind(client: FlaskClient) -> None:
    def kept() -> int:
        return sum(name.startswith("<compiled") for name in linecache.cache)

    names = ["id", "Text", "photo", "photos", "owner", "photo.url", "photos.url", "owner.name"]
    before = kept()
    for number in range(1, 2 ** len(names)):
        named = ",".join(name for bit, name in enumerate(names) if number >> bit & 1)
        assert client.get("/v1/notes/notes/1", query_string={"fields": named}).status_code == 200
    gc.collect()
    assert kept() - before < 300


def test_what_writes_and_what_a_protocol_rules_is_answered_whole(client: FlaskClient) -> None:
    assert client.post("/v1/notes/notes?fields=id").status_code == 422
    assert client.get("/.well-known/note?fields=id").json == WHOLE


def test_the_document_tells_of_it(make_app: Callable[..., Flask], client: FlaskClient) -> None:
    paths = client.get("/v1/openapi.json").json["paths"]  # type: ignore[index]

    def names(path: str, method: str) -> set[str]:
        return {one["name"] for one in paths[path][method].get("parameters", [])}

    assert names("/v1/notes/notes", "get") == {"cursor", "limit", "fields", "If-None-Match"}
    assert "fields" not in names("/v1/notes/notes", "post") | names("/.well-known/note", "get")


def test_the_parameter_is_the_cores() -> None:
    own = Schema.from_dict({"fields": fields.String()}, name="Own")
    notes = Blueprint("notes", __name__)

    def show(_: Any) -> None:
        """Show."""

    with pytest.raises(ValueError, match="notes_show: the core reads the parameter fields"):
        notes.get("/notes")(notes.arguments(own, location="query")(show))
