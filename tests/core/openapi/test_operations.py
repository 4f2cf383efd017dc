"""What breaks around the schemas: paths, parameters, bodies, access, statuses and error codes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from tests.core.openapi.documents import (
    GONE,
    changed,
    document,
    only,
    parameter,
    problem,
    verdicts,
    worst,
)

from trellis_openapi.comparison import compare

PATH = "/paths/~1v1~1things~1{thing_id}"
POST = f"{PATH}/post"
BODY = f"{POST}/requestBody"
ANSWER = f"{POST}/responses/201"
PROBLEM = f"{POST}/responses/409/content/application~1problem+json/examples"
BEARER = "/components/securitySchemes/bearer"

BREAKING, CLIENTS = "breaking", "breaking for generated clients"
UNKNOWN, COMPATIBLE = "cannot tell", "compatible"

# What changes: pointer and new value; the worst verdict, and that of the way back.
CHANGES: dict[str, tuple[str, Any, str, str]] = {
    "path": (PATH, GONE, BREAKING, COMPATIBLE),
    "operation": (POST, GONE, BREAKING, COMPATIBLE),
    "operation's id": (f"{POST}/operationId", "create_thing", CLIENTS, CLIENTS),
    "tag": (f"{POST}/tags", ["lamps"], CLIENTS, CLIENTS),
    "deprecated": (f"{POST}/deprecated", True, COMPATIBLE, COMPATIBLE),
    "summary": (f"{POST}/summary", "Create.", COMPATIBLE, COMPATIBLE),
    "unknown of an operation": (f"{POST}/x-magic", 1, UNKNOWN, UNKNOWN),
    "unknown of a path": (f"{PATH}/x-magic", 1, UNKNOWN, UNKNOWN),
    "unknown of the document": ("/webhooks", {}, UNKNOWN, UNKNOWN),
    "title": ("/info/title", "Lamps", COMPATIBLE, COMPATIBLE),
    "address": ("/servers/0/url", "https://example.com", COMPATIBLE, COMPATIBLE),
    # what it takes
    "parameter": (f"{POST}/parameters/0", GONE, BREAKING, COMPATIBLE),
    "required parameter": (
        f"{POST}/parameters/0",
        parameter("size", required=True),
        BREAKING,
        BREAKING,
    ),
    "parameter required": (f"{POST}/parameters/0/required", True, BREAKING, COMPATIBLE),
    "parameter narrower": (f"{POST}/parameters/0/schema/maxLength", 3, BREAKING, COMPATIBLE),
    "parameter's place": (f"{POST}/parameters/0/in", "header", BREAKING, BREAKING),
    "parameter's style": (f"{POST}/parameters/0/style", "spaceDelimited", UNKNOWN, UNKNOWN),
    "parameter by content": (f"{POST}/parameters/0/schema", GONE, UNKNOWN, UNKNOWN),
    "key for retries": (f"{POST}/parameters/1", GONE, BREAKING, COMPATIBLE),
    "key for retries required": (f"{POST}/parameters/1/required", True, BREAKING, COMPATIBLE),
    "key for retries in capitals": (
        f"{POST}/parameters/1/name",
        "IDEMPOTENCY-KEY",
        "no change",
        "no change",
    ),
    "body": (BODY, GONE, BREAKING, BREAKING),
    "body optional": (f"{BODY}/required", False, COMPATIBLE, BREAKING),
    "body of another type": (f"{BODY}/content/text~1plain", {}, COMPATIBLE, BREAKING),
    "smaller body": (f"{BODY}/x-max-bytes", 999, BREAKING, COMPATIBLE),
    "body's limit unsaid": (f"{BODY}/x-max-bytes", GONE, UNKNOWN, UNKNOWN),
    "body's encoding": (f"{BODY}/content/application~1json/encoding", {}, UNKNOWN, UNKNOWN),
    "body's example": (f"{BODY}/content/application~1json/example", 1, COMPATIBLE, COMPATIBLE),
    # what it answers
    "answer": (ANSWER, GONE, BREAKING, BREAKING),
    "another success": (f"{POST}/responses/202", {"description": "Later"}, BREAKING, BREAKING),
    "a part, for who asks": (
        f"{POST}/responses/206",
        {"description": "Part"},
        COMPATIBLE,
        BREAKING,
    ),
    "another refusal": (f"{POST}/responses/418", {"description": "Tea"}, COMPATIBLE, BREAKING),
    "answer of another type": (f"{ANSWER}/content/text~1plain", {}, UNKNOWN, BREAKING),
    "header": (f"{ANSWER}/headers/Location", GONE, BREAKING, COMPATIBLE),
    "header's schema": (f"{ANSWER}/headers/Location/schema/type", "integer", BREAKING, BREAKING),
    "header always there": (f"{ANSWER}/headers/Location/required", True, "no change", BREAKING),
    "error": (f"{PROBLEM}/things.full", GONE, BREAKING, COMPATIBLE),
    "links": (f"{ANSWER}/links", {"next": {}}, UNKNOWN, UNKNOWN),
    # who may call it
    "open to everybody": (f"{POST}/security", [], COMPATIBLE, BREAKING),
    "a permission": (f"{POST}/security", [{"bearer": ["things.write"]}], BREAKING, COMPATIBLE),
    "a choice": (f"{POST}/security", [{"bearer": []}, {}], COMPATIBLE, BREAKING),
    "by the document's rule": (f"{POST}/security", GONE, COMPATIBLE, BREAKING),
    "how to sign in": (f"{BEARER}/scheme", "basic", BREAKING, BREAKING),
    "words on signing in": (f"{BEARER}/description", "Send it.", "no change", "no change"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_has_its_verdict_both_ways(name: str) -> None:
    pointer, value, there, back = CHANGES[name]
    base = document()
    head = changed(base, pointer, value)
    if name == "required parameter":  # `changed` inserts into a list
        head = changed(head, f"{POST}/parameters/1", GONE)
    assert (worst(base, head), worst(head, base)) == (there, back)


def test_a_document_is_the_same_as_itself() -> None:
    assert compare(document(), deepcopy(document())) == []


def test_what_is_gone_is_named_by_where_it_was() -> None:
    change = only(document(), changed(document(), POST, GONE))
    assert (change.pointer, change.operations) == (POST, ("make_thing",))


def test_an_operation_that_moves_breaks() -> None:
    head = document()
    head["paths"]["/v1/lamps/{thing_id}"] = head["paths"].pop("/v1/things/{thing_id}")
    assert verdicts(document(), head) == [BREAKING, COMPATIBLE]


def test_the_name_of_a_path_parameter_matters_to_generated_clients_alone() -> None:
    head = document()
    item = head["paths"].pop("/v1/things/{thing_id}")
    item["parameters"][0]["name"] = "id"
    head["paths"]["/v1/things/{id}"] = item
    change = only(document(), head)
    assert change.verdict.value == CLIENTS
    assert change.words == "the path parameter `thing_id` is called `id` now"


def test_parameters_of_a_path_are_those_of_its_operations() -> None:
    base = document()
    head = changed(base, f"{POST}/parameters", [])
    head = changed(head, f"{PATH}/parameters/1", parameter("colour"))
    head = changed(head, f"{PATH}/parameters/2", parameter("Idempotency-Key", place="header"))
    assert compare(base, head) == []
    narrower = changed(head, f"{PATH}/parameters/0/schema/format", "uuid")
    assert only(head, narrower).verdict.value == BREAKING


def test_parameters_bodies_and_answers_may_be_components() -> None:
    base = document()
    head = deepcopy(base)
    operation = head["paths"]["/v1/things/{thing_id}"]["post"]
    head["components"] |= {
        "parameters": {"Colour": operation["parameters"][0]},
        "requestBodies": {"Thing": operation["requestBody"]},
        "responses": {"Thing": operation["responses"]["201"]},
        "headers": {"Where": {"schema": {"type": "string"}}},
    }
    operation["parameters"][0] = {"$ref": "#/components/parameters/Colour"}
    operation["requestBody"] = {"$ref": "#/components/requestBodies/Thing"}
    head["components"]["responses"]["Thing"]["headers"]["Location"] = {
        "$ref": "#/components/headers/Where"
    }
    operation["responses"]["201"] = {"$ref": "#/components/responses/Thing"}
    assert compare(base, head) == []
    del head["components"]["responses"]["Thing"]["headers"]
    assert only(base, head).words == "the header `location` is gone"


def test_an_error_that_has_another_status_breaks() -> None:
    base = document()
    head = changed(base, f"{PROBLEM}/things.full", GONE)
    head = changed(head, f"{POST}/responses/507", problem(507, "things.full"))
    told = {change.words for change in compare(base, head) if change.verdict.value == BREAKING}
    assert told == {"the error `things.full` comes with 507, it was 409"}


def test_errors_that_are_gone_with_their_status_are_named_by_their_codes() -> None:
    told = {
        change.words
        for change in compare(document(), changed(document(), f"{POST}/responses/409", GONE))
    }
    assert told == {
        "the error `things.full` never comes now",
        "the error `things.taken` never comes now",
    }


def test_access_is_told_in_words() -> None:
    head = changed(document(), f"{POST}/security", [{"bearer": ["things.write"]}])
    assert only(document(), head).words == (
        "is for `bearer` with things.write now, was for `bearer`"
    )
    public = changed(document(), f"{POST}/security", [])
    assert only(public, document()).words == "is for `bearer` now, was for everybody"


def test_what_a_hostile_document_says_is_shown_without_control_characters() -> None:
    base = changed(document(), f"{POST}/operationId", "\x1b[2J\ud800\n")
    [line] = [str(change) for change in compare(base, changed(base, POST, GONE))]
    assert "\\x1b[2J\\ud800\\n" in line
    assert line.isprintable()
