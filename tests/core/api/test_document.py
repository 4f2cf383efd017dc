"""The OpenAPI document says what the routes do, with names that do not depend on the load order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate as validate_document
from tests.core.api.things import ThingSchema, routes

from trellis.api import Blueprint, export_openapi


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    protocol = Blueprint("things", __name__, mount="/.well-known")

    @protocol.get("/things.json")
    @protocol.access(public="a test")
    @protocol.response(200)
    def metadata() -> Any:
        """Describe the protocol."""
        return {}

    return make_app(routes(), protocol)


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    answer: dict[str, Any] = app.test_client().get("/v1/openapi.json").get_json()
    return answer


def test_document_is_valid(document: dict[str, Any]) -> None:
    validate_document(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"
    assert document["servers"] == [{"url": "https://api.example.com"}]
    assert document["tags"] == [{"name": "things", "description": "All that is kept."}]
    assert set(document["components"]["schemas"]) == {
        "CoreFieldError",
        "CoreProblem",
        "ErrorCode",
        "TestsName",
        "TestsPart",
        "TestsThing",
        "TestsThingPage",
    }


def test_export_is_the_document(app: Flask, document: dict[str, Any]) -> None:
    assert json.loads(export_openapi(app)) == document


def test_document_is_built_once_and_revalidated(app: Flask) -> None:
    client = app.test_client()
    first = client.get("/v1/openapi.json")
    again = client.get("/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.head("/v1/openapi.json").headers["Content-Length"] == str(len(first.data))


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    operations = {operation["operationId"]: operation for operation in operations_of(document)}
    assert set(operations) == {
        "things_get_things",
        "things_post_things",
        "things_show_thing",
        "things_rename",
        "things_download",
        "things_metadata",
    }
    for operation in operations.values():
        assert operation["summary"]
        assert operation["tags"] == ["things"]
        assert "default" in operation["responses"]


@pytest.mark.parametrize(
    ("path", "method", "security", "responses"),
    [
        ("/v1/things/things", "get", [{"bearer": []}], {"200", "304", "400", "401", "403", "422"}),
        (
            "/v1/things/things",
            "post",
            [{"bearer": ["things.write"]}],
            {"201", "400", "401", "403", "409", "413", "415", "422"},
        ),
        ("/v1/things/things/{thing_id}", "get", [], {"200", "304", "400", "404"}),
        (
            "/v1/things/things/{thing_id}/content",
            "get",
            [{"bearer": []}],
            {"200", "206", "304", "400", "401", "403", "404", "412", "416"},
        ),
        ("/.well-known/things.json", "get", [], {"200", "400"}),
    ],
)
def test_access_and_errors_write_themselves(
    document: dict[str, Any], path: str, method: str, security: Any, responses: set[str]
) -> None:
    operation = document["paths"][path][method]
    assert operation["security"] == security
    assert set(operation["responses"]) == responses | {"default"}


def test_needed_permission_is_told(document: dict[str, Any]) -> None:
    description = document["paths"]["/v1/things/things"]["post"]["description"]
    assert description == "It is new.\n\nNeeds the permission `things.write`."


def test_a_schema_says_what_it_is_for(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["TestsThing"]["description"] == "Something that is kept."
    assert "description" not in schemas["TestsPart"], "its class has no docstring"


def test_a_parameter_is_left_out_and_never_null(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/things/things"]["get"]["parameters"]
    [cursor] = [one["schema"] for one in parameters if one["name"] == "cursor"]
    assert cursor["type"] == "string"
    assert "default" not in cursor


def test_limits_of_bodies_are_told_to_people_and_programs(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/things/things"]["post"]["requestBody"]
    assert (body["x-max-bytes"], body["description"]) == (10_000, "At most 10000 bytes.")
    body = document["paths"]["/v1/things/things/{thing_id}"]["put"]["requestBody"]
    assert (body["x-max-bytes"], body["description"]) == (77, "At most 77 bytes.")


def test_answers_may_grow_and_requests_are_closed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for answered in ("TestsThing", "TestsPart", "TestsThingPage"):
        assert "additionalProperties" not in schemas[answered], answered
    assert schemas["TestsName"]["additionalProperties"] is False
    assert "enum" not in schemas["ErrorCode"]


def test_headers_of_refusals_are_told(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    assert set(responses["Unauthenticated"]["headers"]) == {"WWW-Authenticate"}


def test_documented_errors_are_problems(document: dict[str, Any]) -> None:
    codes = set(document["components"]["schemas"]["ErrorCode"]["x-extensible-enum"])
    assert {"things.broken", "core.not_found", "core.internal_error"} <= codes
    for operation in operations_of(document):
        for status, response in responses_of(document, operation):
            if status == "default" or int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/CoreProblem"}


def test_errors_of_one_status_are_told_apart(document: dict[str, Any]) -> None:
    response = document["paths"]["/v1/things/things/{thing_id}"]["get"]["responses"]["404"]
    examples = response["content"]["application/problem+json"]["examples"]
    assert set(examples) == {"core.not_found", "things.broken"}
    assert examples["things.broken"]["value"]["code"] == "things.broken"


def test_examples_keep_their_schema(document: dict[str, Any]) -> None:
    bodies = [
        body
        for operation in operations_of(document)
        for body in (
            operation.get("requestBody", {}),
            *(response for _, response in responses_of(document, operation)),
        )
    ]
    media = [media for body in bodies for media in body.get("content", {}).values()]
    examples = [
        (media["schema"], example)
        for media in media
        for example in (
            *(item["value"] for item in media.get("examples", {}).values()),
            *([media["example"]] if "example" in media else []),
        )
    ]
    assert len(examples) > 10
    formats = Draft202012Validator.FORMAT_CHECKER
    for schema, example in examples:
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole, format_checker=formats).validate(example)


def test_examples_come_from_the_schema(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/things/things"]["post"]["requestBody"]["content"]
    example = body["application/json"]["example"]
    assert "id" not in example
    assert ThingSchema().load(example)["name"] == "Lamp"
    shown = document["paths"]["/v1/things/things/{thing_id}"]["get"]["responses"]["200"]
    assert shown["content"]["application/json"]["example"] == {"name": "mine"}


def operations_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]


def responses_of(document: dict[str, Any], operation: Any) -> list[tuple[str, Any]]:
    components = document["components"]["responses"]
    return [
        (
            status,
            components[response["$ref"].rpartition("/")[2]] if "$ref" in response else response,
        )
        for status, response in operation["responses"].items()
    ]
