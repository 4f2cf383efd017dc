"""E-06: what is on its way out says so with each answer, in the document and to operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from marshmallow import fields

from trellis.api import Blueprint, Schema
from trellis.cli.api import report
from trellis.errors import NotFound
from trellis.paging import Page
from trellis_http.deprecation import Deprecation
from trellis_openapi.rules import faults

SINCE, SUNSET = date(2026, 11, 1), date(2027, 5, 1)
HEADERS = {"Deprecation": "@1793491200", "Sunset": "Sat, 01 May 2027 00:00:00 GMT"}
LINK = '<https://api.example.com/docs>; rel="deprecation"'


class NoteSchema(Schema):
    """A note."""

    text = fields.String(required=True)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    notes = Blueprint("notes", __name__, description="Notes.")

    @notes.get("/old")
    @notes.access(user=True)
    @notes.deprecated(SINCE, sunset=SUNSET)
    @notes.errors(NotFound)
    @notes.paginated(NoteSchema)
    def list_old(*, cursor: str | None, limit: int) -> Page[Any]:
        """List notes in the old way."""
        if cursor == "none":
            raise NotFound
        return Page([{"text": "a"}], "next")

    @notes.get("/older")
    @notes.access(public="a test")
    @notes.deprecated(SINCE, link="https://example.com/new")
    @notes.response(200, NoteSchema)
    def show_older() -> Any:
        """Show a note."""
        return {"text": "a"}

    @notes.get("/new")
    @notes.access(public="a test")
    @notes.response(200, NoteSchema)
    def show_new() -> Any:
        """Show a note."""
        return {"text": "a"}

    return make_app(notes)


@pytest.mark.parametrize(
    ("method", "query", "who", "status"),
    [
        ("GET", "", "ada", 200),
        ("HEAD", "", "ada", 200),
        ("GET", "?cursor=none", "ada", 404),
        ("GET", "?limit=x", "ada", 422),
        ("GET", "", "nobody", 401),
    ],
)
def test_e06_each_answer_says_so(
    app: Flask, method: str, query: str, who: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {who}"}
    answer = app.test_client().open(f"/v1/notes/old{query}", method=method, headers=headers)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    links = answer.headers.getlist("Link")
    assert links[-1:] == [LINK]
    assert [link for link in links if 'rel="next"' in link] == links[:-1]
    assert len(links) == (2 if status == 200 else 1)


def test_e06_an_unchanged_answer_says_so_too(app: Flask) -> None:
    headers = {"Authorization": "Bearer ada", "If-None-Match": "*"}
    answer = app.test_client().get("/v1/notes/old", headers=headers)
    assert (answer.status_code, answer.headers["Deprecation"]) == (304, HEADERS["Deprecation"])


def test_a_link_and_no_sunset(app: Flask) -> None:
    headers = app.test_client().get("/v1/notes/older").headers
    assert headers["Link"] == '<https://example.com/new>; rel="deprecation"'
    assert "Sunset" not in headers
    others = app.test_client().get("/v1/notes/new").headers
    assert not {"Deprecation", "Sunset", "Link"} & {name for name, _ in others}


def test_e06_the_document_says_so(app: Flask) -> None:
    document = app.test_client().get("/v1/openapi.json").get_json()
    old, older, new = (
        document["paths"][f"/v1/notes/{name}"]["get"] for name in ("old", "older", "new")
    )
    assert (old["deprecated"], old["x-sunset"]) == (True, "2027-05-01")
    assert "Deprecated since 2026-11-01, and gone after 2027-05-01." in old["description"]
    assert (older["deprecated"], "x-sunset" in older) == (True, False)
    assert "see https://example.com/new." in older["description"]
    assert "deprecated" not in new
    assert faults(document) == []


@pytest.mark.parametrize(
    ("now", "over"),
    [
        (datetime(2027, 4, 30, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2027, 5, 1, tzinfo=UTC), True),
        (datetime(2030, 1, 1, tzinfo=UTC), True),
    ],
)
def test_a_sunset_passes_at_midnight(now: datetime, over: bool) -> None:
    assert Deprecation(SINCE, SUNSET).is_over(now) is over
    assert not Deprecation(SINCE).is_over(now)


def test_e06_a_sunset_is_not_before_the_deprecation() -> None:
    with pytest.raises(ValueError, match="is before the deprecation"):
        Blueprint("notes", __name__).deprecated(SUNSET, sunset=SINCE)
    assert Deprecation(SINCE, SINCE).sunset == SINCE


def test_operators_are_told_of_one_that_has_passed(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = app.extensions["trellis.api"].operations
    sunsets = {"notes.show_older": date(2020, 6, 1), "notes.list_old": date(9999, 1, 1)}
    for key, operation in list(operations.items()):
        if key[0] in sunsets:
            deprecation = Deprecation(date(2020, 1, 1), sunsets[key[0]])
            changed = replace(operation, deprecation=deprecation)
            monkeypatch.setitem(operations, key, changed)
    monkeypatch.setattr("trellis.app.create_app", lambda: app)
    lines = CliRunner().invoke(report).output.splitlines()
    at = lines.index("notes_show_older")
    assert lines[at + 1].strip() == (
        "Deprecated since 2020-01-01, and gone after 2020-06-01. Its sunset has passed: remove it."
    )
    assert "passed" not in lines[lines.index("notes_list_old") + 1]
