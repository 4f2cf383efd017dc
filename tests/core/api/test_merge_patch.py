"""E-11: a merge patch (RFC 7396) changes what it names, and null removes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError, fields, validate

from trellis.api import Blueprint, Schema
from trellis_schemas.merge_patch import MEDIA_TYPE, patch_schema


class ThingSchema(Schema):
    """What is given to make a thing."""

    name = fields.String(required=True, validate=validate.Length(min=1))
    a = fields.String()
    b = fields.String(load_default="usual")
    list = fields.List(fields.Integer(), load_default=list)
    part = fields.Integer(data_key="partNumber", attribute="part_number", allow_none=True)
    id = fields.UUID(dump_only=True)


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    things = Blueprint("things", __name__, description="Things.")

    @things.patch("/thing")
    @things.access(public="a test")
    @things.merge_patch(ThingSchema)
    @things.response(200, {"type": "object"})
    def change(changes: dict[str, Any]) -> Any:
        """Change the thing."""
        return jsonify(changes)

    return make_app(things).test_client()


def patch(client: FlaskClient, body: Any, content_type: str = MEDIA_TYPE) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return client.patch("/v1/things/thing", data=text, content_type=content_type)


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        # RFC 7396, appendix A, as far as a thing is no object within another
        ({"a": "c"}, {"a": "c"}),
        ({"b": "c"}, {"b": "c"}),
        ({"a": None}, {"a": None}),
        ({"a": None, "b": "c"}, {"a": None, "b": "c"}),
        ({"list": [1]}, {"list": [1]}),
        ({}, {}),
        # what null gives
        ({"b": None}, {"b": "usual"}),
        ({"list": None}, {"list": []}),
        ({"partNumber": None}, {"part_number": None}),
    ],
)
def test_e11_absent_stays_and_null_removes(client: FlaskClient, sent: Any, changes: Any) -> None:
    answer = patch(client, sent)
    assert (answer.status_code, answer.get_json()) == (200, changes)


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"list": [None]}, "/list/0"),
        ({"id": "0198c0de-7a00-7000-8000-000000000001"}, "/id"),
        ({"other": None}, "/other"),
        ([], ""),
        ("null", ""),
        ('"c"', ""),
    ],
)
def test_e11_what_would_not_be_a_thing_is_refused(
    client: FlaskClient, sent: Any, pointer: str
) -> None:
    answer = patch(client, sent)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.get_json()["errors"]] == [pointer]


@pytest.mark.parametrize("kind", ["application/json", "application/json-patch+json", "text/plain"])
def test_e07_another_media_type_is_told_which_one_is_taken(client: FlaskClient, kind: str) -> None:
    answer = patch(client, {}, kind)
    assert (answer.status_code, answer.headers["Accept-Patch"]) == (415, MEDIA_TYPE)
    assert "Accept" not in answer.headers


@pytest.mark.parametrize("body", ["{", '{"a": "x", "a": "y"}', '{"a": NaN}'])
def test_it_is_strict_json(client: FlaskClient, body: str) -> None:
    assert patch(client, body).status_code == 400


@given(st.dictionaries(st.sampled_from(["name", "a", "b"]), st.text(min_size=1)))
def test_what_is_named_is_what_is_changed(sent: dict[str, str]) -> None:
    assert patch_schema(ThingSchema)().load(sent) == sent


def test_the_schema_itself_is_as_it_was() -> None:
    patch_schema(ThingSchema)
    with pytest.raises(ValidationError):
        ThingSchema().load({})
    assert ThingSchema().load({"name": "x"})["b"] == "usual"


@pytest.mark.parametrize("field", [fields.Nested(ThingSchema), fields.Dict(), fields.Raw()])
def test_an_object_within_a_thing_is_refused_at_start(field: Any) -> None:
    kind = Schema.from_dict({"part": field}, name="WholeSchema")
    with pytest.raises(TypeError, match=r"WholeSchema\.part holds an object"):
        Blueprint("things", __name__).merge_patch(kind)


def test_the_document_tells_of_it(client: FlaskClient) -> None:
    document = client.get("/v1/openapi.json").get_json()
    operation = document["paths"]["/v1/things/thing"]["patch"]
    content = operation["requestBody"]["content"]
    assert list(content) == [MEDIA_TYPE]
    name = content[MEDIA_TYPE]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    assert "required" not in schema
    assert "null" in schema["properties"]["a"]["type"]
    assert schema["properties"]["name"]["type"] == "string"
    assert "Accept-Patch" in document["components"]["responses"]["UnsupportedMediaType"]["headers"]
