"""Answers with gzip: smaller, and the same in everything else, whoever gives them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from marshmallow import fields
from tests.core.api.test_if_match import Desk
from werkzeug.test import TestResponse

from trellis.api import Blueprint, Schema, blob_response
from trellis.api import headers as sending

TAKES = {"Accept-Encoding": "gzip, br"}


class LongSchema(Schema):
    """Something long."""

    text = fields.String()


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    long = Blueprint("long", __name__, description="Long answers.")
    text = "Grüße! " * 1000

    @long.get("/json")
    @long.access(public="a test")
    @long.response(200, LongSchema)
    def as_json() -> Any:
        """Show it."""
        return {"text": text}

    @long.get("/short")
    @long.access(public="a test")
    @long.response(200, LongSchema)
    def short() -> Any:
        """Show something short."""
        return {"text": "short"}

    @long.get("/stream")
    @long.access(public="a test")
    def stream() -> Any:
        """Send it piece by piece."""
        return Response(iter([text, text]), content_type="text/plain")

    @long.get("/picture")
    @long.access(public="a test")
    def picture() -> Any:
        """Send a picture."""
        return Response(b"x" * 9000, content_type="image/webp")

    @long.get("/file")
    @long.access(public="a test")
    @long.blob("text/plain")
    def file() -> Any:
        """Send a file, or a part of it."""
        content = text.encode()
        return blob_response(
            lambda start, end: iter([content[start:end]]),
            size=len(content),
            etag="f",
            content_type="text/plain",
        )

    return make_app(long).test_client()


def packed(answer: TestResponse) -> bytes:
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    return gzip.decompress(answer.data)


def test_long_json_is_packed_for_whoever_takes_it(client: FlaskClient) -> None:
    plain, small = client.get("/v1/long/json"), client.get("/v1/long/json", headers=TAKES)
    assert "Content-Encoding" not in plain.headers
    assert packed(small) == plain.data
    assert len(small.data) < len(plain.data) / 10
    assert small.headers["ETag"] == f'{plain.headers["ETag"][:-1]}-gzip"'
    for name in ("Vary", "Cache-Control", "Content-Type"):
        assert small.headers[name] == plain.headers[name]
    assert plain.headers["Vary"] == "Authorization, Accept-Encoding"


@pytest.mark.parametrize("path", ["short", "stream", "picture", "file"])
def test_what_gains_nothing_is_sent_as_it_is(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/v1/long/{path}", headers=TAKES)
    assert "Content-Encoding" not in answer.headers
    assert "Accept-Encoding" not in answer.headers.get("Vary", "")


def test_a_part_is_sent_as_it_is(client: FlaskClient) -> None:
    answer = client.get("/v1/long/file", headers={**TAKES, "Range": "bytes=0-4999"})
    assert (answer.status_code, len(answer.data)) == (206, 5000)
    assert "Content-Encoding" not in answer.headers


def test_long_problems_are_packed_too(client: FlaskClient) -> None:
    query = "&".join(f"unknown_{number}=1" for number in range(60))
    plain = client.get(f"/v1/long/json?{query}")
    small = client.get(f"/v1/long/json?{query}", headers=TAKES)
    assert (small.status_code, packed(small)) == (422, plain.data)
    assert small.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["json", "short", "picture"])
@pytest.mark.parametrize("takes", [{}, TAKES], ids=["plain", "gzip"])
def test_e15_head_has_the_headers_of_get(
    client: FlaskClient, path: str, takes: dict[str, str]
) -> None:
    whole = client.get(f"/v1/long/{path}", headers=takes)
    head = client.head(f"/v1/long/{path}", headers=takes)
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(whole.headers)


@pytest.mark.parametrize("takes", [{}, TAKES], ids=["plain", "gzip"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_either_form_that_is_held_is_not_sent_again(
    client: FlaskClient, takes: dict[str, str], method: str
) -> None:
    for first in (client.get("/v1/long/json"), client.get("/v1/long/json", headers=TAKES)):
        tag = first.headers["ETag"]
        again = client.open("/v1/long/json", method=method, headers={**takes, "If-None-Match": tag})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["Vary"] == first.headers["Vary"]
        assert not {"Content-Encoding", "Content-Length", "Content-Type"} & {
            name for name, _ in again.headers
        }


def test_e12_either_form_may_be_what_a_change_depends_on(
    app: Flask, as_operator: Callable[..., dict[str, str]]
) -> None:
    desk = Desk(app, as_operator("webhooks.manage"))
    desk.describe("x" * 200, None)
    path, events = desk.path, [f"media.{'a' * 60}{number}" for number in range(25)]
    kind = {"Content-Type": "application/merge-patch+json"}
    desk.client.patch(path, headers={**desk.who, **kind}, json={"events": events})
    tag = desk.client.get(path, headers={**desk.who, **TAKES}).headers["ETag"]
    assert tag.endswith('-gzip"')
    changed = desk.describe("new", tag, TAKES)
    assert (changed.status_code, packed(changed)[:1]) == (200, b"{")
    assert (
        changed.headers["ETag"]
        == desk.client.get(path, headers={**desk.who, **TAKES}).headers["ETag"]
    )
    assert desk.describe("newer", tag).status_code == 412


def test_the_document_is_packed_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/v1/openapi.json", headers=TAKES)
    assert packed(first) == client.get("/v1/openapi.json").data
    monkeypatch.setattr(sending, "pack", None)
    assert client.get("/v1/openapi.json", headers=TAKES).data == first.data
