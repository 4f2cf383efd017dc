"""Nobody who calls sees whether compiled code or marshmallow loads what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import marshmallow
import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import EXCLUDE, RAISE, fields, validate
from tests.core.schemas.things import ThingSchema

from trellis.api import Blueprint, Schema
from trellis.api.arguments import _decoder_of, decoder_of


class FilterSchema(Schema):
    unread = fields.Boolean(load_default=None)
    tags = fields.List(fields.String())
    limit = fields.Integer(load_default=20, validate=validate.Range(min=1, max=100))


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    things = Blueprint("things", __name__)

    def route(way: str, **unknown: Any) -> None:
        def make(body: dict[str, Any], **query: Any) -> Any:
            """Make."""
            return {key: repr(value) for key, value in (body | query).items()}

        make.__name__ = way
        view = things.response(200)(make)
        view = things.arguments(
            FilterSchema, location="query", as_kwargs=True, **unknown.get("query", {})
        )(view)
        view = things.arguments(ThingSchema, **unknown.get("body", {}))(view)
        things.post(f"/{way}")(things.access(public="test")(view))

    route("compiled")
    # What a route says of unknown keys itself, webargs has to look after.
    route("plain", body={"unknown": RAISE}, query={"unknown": EXCLUDE})
    return make_app(things).test_client()


def post(client: FlaskClient, way: str, body: bytes, query: str = "") -> tuple[int, Any]:
    answer = client.post(f"/v1/things/{way}?{query}", data=body, content_type="application/json")
    return answer.status_code, answer.get_json()


@pytest.mark.parametrize(
    "body",
    [
        b'{"title":"a"}',
        b'{"title":"a","at":"2026-01-31T12:00:00Z","data":[1,2.5,{"b":null}]}',
        b'{"title":"a","title":"b"}',
        b'{"title":3,"at":"x","else":1}',
        b'{"title":"a","parts":[{"name":"x"},{"size":"2"},{"name":null,"size":1.5}]}',
        b'{"title":":-)"}',
        b'{"title":"\xff"}',
        b'{"title":"a"}}',
        b'{"title":"a","data":9223372036854775808}',
        b"",
    ],
)
def test_bodies_get_the_same_answers(client: FlaskClient, body: bytes) -> None:
    assert post(client, "compiled", body) == post(client, "plain", body)


@pytest.mark.parametrize(
    "query",
    [
        *("", "limit=5&unread=on", "limit=0", "limit=+7", "limit=x&unread=", "limit=1&limit=2"),
        *("tags=a&tags=b&unread=false", "tags=", "limit=%D9%A3", "limit=1_0"),
    ],
)
def test_queries_get_the_same_answers(client: FlaskClient, query: str) -> None:
    body = b'{"title":"a"}'
    assert post(client, "compiled", body, query) == post(client, "plain", body, query)


def test_what_is_taken_does_not_come_to_marshmallow(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(marshmallow.Schema, "_do_load")
    body = b'{"title":"a","ownerId":"00000000-0000-0000-0000-000000000001"}'
    assert post(client, "compiled", body, "limit=5&tags=a&tags=b") == (
        200,
        {
            "title": "'a'",
            "owner": repr(UUID(int=1)),
            "unread": "None",
            "tags": "['a', 'b']",
            "limit": "5",
        },
    )


def test_schemas_are_compiled_when_they_are_declared() -> None:
    class DeclaredSchema(Schema):
        name = fields.String()

    for location in ("json", "query"):
        Blueprint("things", __name__).arguments(DeclaredSchema, location=location)(lambda: None)
        hits = _decoder_of.cache_info().hits
        assert decoder_of(DeclaredSchema, location)
        assert _decoder_of.cache_info().hits == hits + 1
