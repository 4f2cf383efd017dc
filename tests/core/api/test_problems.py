"""Every error of every kind is a problem document."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, abort, redirect
from flask.testing import FlaskClient
from marshmallow import fields
from werkzeug.exceptions import ServiceUnavailable

from trellis.api import Blueprint, Schema
from trellis.errors import Conflict, DomainError, InvalidInput


class Full(DomainError):
    code = "things.full"
    status = 409
    title = "The shelf is full"


class Slow(DomainError):
    code = "things.slow"
    status = 429
    title = "Too many"


class NoteSchema(Schema):
    text = fields.String(required=True)
    tags = fields.List(fields.String())


def routes() -> Blueprint:
    things = Blueprint("things", __name__)

    @things.get("/raise/<what>")
    @things.access(public="test")
    def fail(what: str) -> Any:
        """Fail."""
        failures: dict[str, Callable[[], Any]] = {
            "domain": lambda: _raise(Full("Take one out.", most=3, owner=UUID(int=7))),
            "plain": lambda: _raise(Conflict()),
            "slow": lambda: _raise(Slow(retry_after=30)),
            "slow-unsaid": lambda: _raise(Slow()),
            "bug": lambda: 1 / 0,
            "abort": lambda: abort(404),
            "abort-detail": lambda: abort(410, "It was taken away."),
            "teapot": lambda: abort(418),
            "away": lambda: _raise(ServiceUnavailable()),
            "handles": lambda: _raise(OSError(errno.EMFILE, os.strerror(errno.EMFILE))),
            "no-file": lambda: _raise(OSError(errno.ENOENT, os.strerror(errno.ENOENT))),
            "redirect": lambda: redirect("/elsewhere"),
            "field": lambda: _raise(InvalidInput.field("/email", "Taken.")),
        }
        return failures[what]()

    @things.post("/notes")
    @things.access(public="test")
    @things.arguments(NoteSchema)
    @things.response(204)
    def note(body: dict[str, Any]) -> None:
        """Note."""

    return things


def _raise(error: Exception) -> Any:
    raise error


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(routes())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "headers"),
    [
        ("GET", "/nowhere", 404, "core.not_found", {}),
        ("GET", "/v1/nowhere", 404, "core.not_found", {}),
        ("PUT", "/v1/things/notes", 405, "core.method_not_allowed", {"Allow": "OPTIONS, POST"}),
        ("GET", "/v1/things/raise/domain", 409, "things.full", {}),
        ("GET", "/v1/things/raise/plain", 409, "core.conflict", {}),
        ("GET", "/v1/things/raise/slow", 429, "things.slow", {"Retry-After": "30"}),
        ("GET", "/v1/things/raise/slow-unsaid", 429, "things.slow", {"Retry-After": "5"}),
        ("GET", "/v1/things/raise/bug", 500, "core.internal_error", {}),
        ("GET", "/v1/things/raise/abort", 404, "core.not_found", {}),
        ("GET", "/v1/things/raise/abort-detail", 410, "core.http_error", {}),
        ("GET", "/v1/things/raise/teapot", 418, "core.http_error", {}),
        ("GET", "/v1/things/raise/away", 503, "core.service_unavailable", {"Retry-After": "5"}),
        ("GET", "/v1/things/raise/handles", 503, "core.service_unavailable", {"Retry-After": "2"}),
        ("GET", "/v1/things/raise/no-file", 500, "core.internal_error", {}),
        ("GET", "/v1/things/raise/field", 422, "core.invalid_input", {}),
        ("GET", "/v1/things/raise/plain?made=up", 422, "core.invalid_input", {}),
        ("GET", "/v1/things/%00", 400, "core.bad_request", {}),
    ],
)
def test_e01_error_is_a_problem(
    client: FlaskClient, method: str, path: str, status: int, code: str, headers: dict[str, str]
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    answer = response.get_json()
    assert answer["status"] == status
    assert answer["code"] == code
    assert answer["type"] == f"/docs/errors#{code}"
    assert answer["title"]
    assert answer["request_id"] == "request-1"
    if "Allow" in headers:
        assert sorted(response.headers["Allow"].split(", ")) == headers.pop("Allow").split(", ")
    assert headers.items() <= dict(response.headers).items()


def test_domain_error_tells_detail_and_extensions(client: FlaskClient) -> None:
    answer = client.get("/v1/things/raise/domain").get_json()
    assert answer["title"] == "The shelf is full"
    assert answer["detail"] == "Take one out."
    assert answer["most"] == 3
    assert answer["owner"] == str(UUID(int=7))


def test_stock_sentences_are_left_out_and_own_ones_kept(client: FlaskClient) -> None:
    assert "detail" not in client.get("/nowhere").get_json()
    gone = client.get("/v1/things/raise/abort-detail").get_json()
    assert (gone["title"], gone["detail"]) == ("Gone", "It was taken away.")


def test_unexpected_error_is_logged_and_not_told(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = client.get("/v1/things/raise/bug")
    assert "ZeroDivision" not in response.text
    assert "Traceback" not in response.text
    assert "detail" not in response.get_json()
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert record.__dict__["request_id"] == "request-1"


def test_unexpected_error_is_raised_only_when_asked_for(make_app: Callable[..., Flask]) -> None:
    client = make_app(routes(), PROPAGATE_EXCEPTIONS=True).test_client()
    with pytest.raises(ZeroDivisionError):
        client.get("/v1/things/raise/bug")


def test_redirect_is_no_error(client: FlaskClient) -> None:
    assert client.get("/v1/things/raise/redirect").location == "/elsewhere"


@pytest.mark.parametrize("path", ["/nowhere", "/v1/things/raise/domain", "/v1/things/raise/bug"])
def test_e15_head_is_get_without_body(client: FlaskClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert head.data == b""
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


def test_field_errors_point_at_the_value(client: FlaskClient) -> None:
    response = client.post("/v1/things/notes", json={"tags": ["a", 3], "a/b~c": 1})
    assert response.status_code == 422
    errors = {(e["location"], e["pointer"]): e["detail"] for e in response.get_json()["errors"]}
    assert errors == {
        ("body", "/text"): "Missing data for required field.",
        ("body", "/tags/1"): "Not a valid string.",
        ("body", "/a~1b~0c"): "Unknown field.",
    }


def test_field_errors_are_bounded(client: FlaskClient) -> None:
    response = client.post("/v1/things/notes", json={"text": "a", "tags": [1] * 1000})
    assert len(response.get_json()["errors"]) == 100


def test_whole_body_of_the_wrong_kind(client: FlaskClient) -> None:
    response = client.post("/v1/things/notes", json=[1])
    assert response.status_code == 422
    assert response.get_json()["errors"][0] == {
        "location": "body",
        "pointer": "",
        "detail": "Invalid input type.",
    }
