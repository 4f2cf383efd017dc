"""Small documents for the comparison: one operation that takes a schema and answers a schema."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from trellis_openapi.changes import Change
from trellis_openapi.comparison import compare

Document = dict[str, Any]

GONE = object()


def document(
    *, sent: Any = True, shown: Any = True, schemas: Document | None = None, **operation: Any
) -> Document:
    """A document whose operation `make_thing` sends one schema and shows another."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "1"},
        "servers": [{"url": "https://example.org"}],
        "tags": [{"name": "things"}],
        "paths": {
            "/v1/things/{thing_id}": {
                "parameters": [parameter("thing_id", place="path", required=True)],
                "post": {
                    "operationId": "make_thing",
                    "tags": ["things"],
                    "summary": "Make a thing.",
                    "security": [{"bearer": []}],
                    "parameters": [
                        parameter("colour"),
                        parameter("Idempotency-Key", place="header"),
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": sent}},
                        "x-max-bytes": 1000,
                    },
                    "responses": {
                        "201": {
                            "description": "Made",
                            "headers": {"Location": {"schema": {"type": "string"}}},
                            "content": {"application/json": {"schema": shown}},
                        },
                        "404": problem(404, "core.not_found"),
                        "409": problem(409, "things.full", "things.taken"),
                    },
                    **operation,
                },
            }
        },
        "components": {
            "schemas": schemas or {},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def parameter(name: str, place: str = "query", **more: Any) -> Document:
    return {"name": name, "in": place, "schema": {"type": "string"}, **more}


def problem(status: int, *codes: str) -> Document:
    examples = {code: {"value": {"code": code, "status": status}} for code in codes}
    media = {"schema": {"type": "object"}, "examples": examples}
    return {"description": "Refused", "content": {"application/problem+json": media}}


def changed(base: Document, pointer: str, value: Any) -> Document:
    """A copy with another value at a pointer, or without what is there (`GONE`)."""
    head = deepcopy(base)
    *steps, last = [step.replace("~1", "/") for step in pointer.split("/")[1:]]
    where: Any = head
    for step in steps:
        where = where[int(step) if isinstance(where, list) else step]
    if value is GONE:
        del where[int(last) if isinstance(where, list) else last]
    elif isinstance(where, list):
        where.insert(int(last), value)
    else:
        where[last] = value
    return head


def verdicts(base: Document, head: Document) -> list[str]:
    """The verdicts of all changes, the worst first."""
    return [change.verdict.value for change in compare(base, head)]


def worst(base: Document, head: Document) -> str:
    """The verdict of the worst change."""
    return next(iter(verdicts(base, head)), "no change")


def only(base: Document, head: Document) -> Change:
    """The one change that there is."""
    [change] = compare(base, head)
    return change
