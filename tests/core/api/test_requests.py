"""Bodies and query parameters are checked before a view runs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_smorest.fields import Upload
from marshmallow import fields
from werkzeug.test import create_environ, run_wsgi_app

from trellis.api import Blueprint, Schema, Timestamp


class NoteSchema(Schema):
    text = fields.String()
    data = fields.Raw()
    at = Timestamp()


class UploadSchema(Schema):
    file = Upload(required=True)


class FilterSchema(Schema):
    unread = fields.Boolean()
    sort_by = fields.String(data_key="sort")


class FormSchema(Schema):
    name = fields.String(required=True)


def routes() -> tuple[Blueprint, Blueprint]:
    things = Blueprint("things", __name__)

    @things.post("/notes")
    @things.access(public="test")
    @things.arguments(NoteSchema)
    @things.response(200, NoteSchema)
    def note(body: dict[str, Any]) -> Any:
        """Note."""
        return body

    @things.post("/files")
    @things.body_limit(lambda: 50_000)
    @things.access(public="test")
    @things.arguments(UploadSchema, location="files")
    @things.response(200)
    def upload(files: dict[str, Any]) -> Any:
        """Upload."""
        return {"size": len(files["file"].read())}

    @things.post("/forms")
    @things.access(public="test")
    @things.arguments(FormSchema, location="form")
    @things.response(200, FormSchema)
    def form(body: dict[str, Any]) -> Any:
        """Fill in."""
        return body

    @things.get("/list")
    @things.access(public="test")
    @things.arguments(FilterSchema, location="query")
    @things.response(200)
    def show(query: dict[str, Any]) -> Any:
        """Show."""
        return query

    protocol = Blueprint("things", __name__, mount="/.well-known")

    @protocol.get("/things.json")
    @protocol.access(public="test")
    def metadata() -> Any:
        """Describe the protocol."""
        return {"mounted": True}

    return things, protocol


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app(*routes()).test_client()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"text":"a"}', "application/json", 200),
        (b'{"text":"a"}', "application/json; charset=utf-8", 200),
        (b'{"text":"a"}', "application/x-www-form-urlencoded", 415),
        (b'{"text":"a"}', "text/plain", 415),
        (b'{"text":"a"}', "", 415),
        (b"", "text/plain", 415),
        (b"", "", 200),  # nothing is required of it
        (b"", "application/json", 200),
    ],
)
def test_content_type_of_json(
    client: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    response = client.post("/v1/things/notes", data=body, content_type=content_type)
    assert response.status_code == status
    if status == 415:
        assert response.headers["Accept"] == "application/json"
        assert response.get_json()["code"] == "core.unsupported_media_type"


@pytest.mark.parametrize(
    ("path", "content_type", "accept"),
    [
        ("/files", "application/json", "multipart/form-data"),
        ("/forms", "application/json", "application/x-www-form-urlencoded"),
    ],
)
def test_content_type_of_forms(
    client: FlaskClient, path: str, content_type: str, accept: str
) -> None:
    response = client.post("/v1/things" + path, data=b"{}", content_type=content_type)
    assert response.status_code == 415
    assert response.headers["Accept"] == accept


HALF = "\\ud83d"  # the first half of an emoji, as JSON escapes it


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1,]",
        b"nul",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        '{"text": "ä"}'.encode("latin-1"),
        '{"text": "a"}'.encode("utf-16"),
        b'{"text":"a","text":"b"}',
        b'{"data":{"a":1,"a":1}}',
        b'{"data":NaN}',
        b'{"data":-Infinity}',
        b'{"data":1e400}',
        b'{"data":9223372036854775808}',
        b'{"data":-9223372036854775809}',
        b'{"data":' + b"9" * 9000 + b"}",
        b'{"text":"a\\u0000b"}',
        b'{"a\\u0000b":1}',
        f'{{"text":"{HALF}"}}'.encode(),
        f'{{"data":[[{{"{HALF}":1}}]]}}'.encode(),
        b'{"data":' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"data":' + b"[" * 4_900 + b"]" * 4_900 + b"}",
        b"[" * 9_999,
        b'{"data":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    ],
    ids=lambda body: f"{len(body)} {body[:24].decode('latin-1')}",
)
def test_e16_what_is_not_strict_json_is_refused(client: FlaskClient, body: bytes) -> None:
    response = client.post("/v1/things/notes", data=body, content_type="application/json")
    assert response.status_code == 400
    answer = response.get_json()
    assert answer["code"] == "core.malformed_body"
    assert answer["detail"].endswith(".")


@pytest.mark.parametrize(
    "value",
    [
        "\U0001f600 ä \\u0000",
        [[]] * 100,
        {"a": [[1, 2.5, None, True, "x"]]},
        9223372036854775807,
        -9223372036854775808,
        json.loads("[" * 60 + "]" * 60),
    ],
)
def test_strict_json_keeps_what_is_sound(client: FlaskClient, value: Any) -> None:
    response = client.post("/v1/things/notes", json={"data": value})
    assert response.get_json() == {"data": value}


def test_escaped_pair_is_one_character(client: FlaskClient) -> None:
    body = b'{"text":"\\ud83d\\ude00"}'
    response = client.post("/v1/things/notes", data=body, content_type="application/json")
    assert response.get_json() == {"text": "\U0001f600"}


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.25Z", "2026-01-31T12:00:00.250000Z"),
        ("2026-01-31T12:00:00", None),
    ],
)
def test_timestamps_are_utc(client: FlaskClient, sent: str, returned: str | None) -> None:
    response = client.post("/v1/things/notes", json={"at": sent})
    assert response.get_json().get("at") == returned
    assert response.status_code == (200 if returned else 422)


class Endless(io.RawIOBase):
    """A body that says nothing of its length and never ends."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b" " * len(buffer)
        self.read_bytes += len(buffer)
        return len(buffer)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/notes", 9_000, 200),
        ("/notes", 20_000, 413),
        ("/files", 40_000, 200),
        ("/files", 60_000, 413),
        ("/list", 20_000, 413),
    ],
)
def test_size_of_body(client: FlaskClient, path: str, size: int, status: int) -> None:
    body: dict[str, Any] = {"data": {"file": (io.BytesIO(b"x" * size), "a.bin")}}
    if path != "/files":
        body = {"json": {"text": "x" * size}}
    response = client.open("/v1/things" + path, method="GET" if path == "/list" else "POST", **body)
    assert response.status_code == status
    if status == 413:
        assert response.get_json()["code"] == "core.content_too_large"


def test_body_without_length_is_bounded(client: FlaskClient) -> None:
    endless = Endless()
    environ = create_environ("/v1/things/notes", method="POST", content_type="application/json")
    environ |= {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": endless,
        "wsgi.input_terminated": True,
    }
    _, status, _ = run_wsgi_app(client.application, environ)
    assert status.startswith("413")
    assert endless.read_bytes < 1_000_000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/things/list?unread=true&sort=name", 200),
        ("/v1/things/list?sort_by=name", 422),
        ("/v1/things/list?unred=true", 422),
        ("/v1/things/notes?x=1", 422),
        ("/.well-known/things.json?x=1", 200),
    ],
)
def test_unknown_query_parameters(client: FlaskClient, path: str, status: int) -> None:
    method = "POST" if "notes" in path else "GET"
    response = client.open(path, method=method, json={} if method == "POST" else None)
    assert response.status_code == status
    if status == 422:
        assert response.get_json()["errors"][0]["location"] == "query"


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("GET", "/v1/things/list?sort=%00", None),
        ("POST", "/v1/things/forms", {"name": "a\x00b"}),
    ],
)
def test_nul_is_refused(
    client: FlaskClient, method: str, path: str, data: dict[str, str] | None
) -> None:
    response = client.open(path, method=method, data=data)
    assert response.status_code == 400


def test_headers_are_explicit(client: FlaskClient) -> None:
    headers = client.get("/v1/things/list").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
