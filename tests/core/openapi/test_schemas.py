"""Each way in which a schema narrows: it breaks requests, and its reverse breaks answers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.openapi.documents import document, only, verdicts, worst

from trellis_openapi.comparison import compare

BREAKING, CLIENTS = "breaking", "breaking for generated clients"
UNKNOWN, COMPATIBLE = "cannot tell", "compatible"


def thing(required: tuple[str, ...] = (), closed: bool = False, **properties: Any) -> Any:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        **({"additionalProperties": False} if closed else {}),
    }


TEXT = {"type": "string"}
NUMBER = {"type": "number"}

# A schema, and one that fewer values fit.
NARROWER: dict[str, tuple[Any, Any]] = {
    "maximum length set": (TEXT, TEXT | {"maxLength": 9}),
    "maximum length lowered": (TEXT | {"maxLength": 9}, TEXT | {"maxLength": 8}),
    "minimum length raised": (TEXT, TEXT | {"minLength": 1}),
    "minimum set": (NUMBER, NUMBER | {"minimum": 1}),
    "minimum excluded": (NUMBER | {"minimum": 1}, NUMBER | {"exclusiveMinimum": 1}),
    "maximum lowered": (NUMBER | {"maximum": 9}, NUMBER | {"maximum": 8.5}),
    "maximum excluded": (NUMBER | {"maximum": 9}, NUMBER | {"exclusiveMaximum": 9}),
    "multiple of more": (NUMBER | {"multipleOf": 2}, NUMBER | {"multipleOf": 4}),
    "multiple set": (NUMBER, NUMBER | {"multipleOf": 2}),
    "items limited": (
        {"type": "array", "items": TEXT},
        {"type": "array", "maxItems": 3, "items": TEXT},
    ),
    "items demanded": ({"type": "array"}, {"type": "array", "minItems": 1}),
    "items unique": ({"type": "array"}, {"type": "array", "uniqueItems": True}),
    "items typed": ({"type": "array"}, {"type": "array", "items": TEXT}),
    "items narrower": (
        {"type": "array", "items": TEXT},
        {"type": "array", "items": TEXT | {"minLength": 2}},
    ),
    "members limited": ({"type": "object"}, {"type": "object", "maxProperties": 3}),
    "pattern set": (TEXT, TEXT | {"pattern": "^a"}),
    "format set": (TEXT, TEXT | {"format": "email"}),
    "integer of fewer bits": (
        {"type": "integer", "format": "int64"},
        {"type": "integer", "format": "int32"},
    ),
    "value removed": (TEXT | {"enum": ["a", "b"]}, TEXT | {"enum": ["a"]}),
    "values closed": (TEXT, TEXT | {"enum": ["a"]}),
    "one value": (TEXT | {"enum": ["a", "b"]}, {"const": "a"}),
    "no null": ({"type": ["string", "null"]}, TEXT),
    "no null by anyOf": ({"anyOf": [TEXT, {"type": "null"}]}, TEXT),
    "no null among values": ({"enum": ["a", None]}, TEXT | {"enum": ["a"]}),
    "fewer types": ({"type": ["string", "boolean"]}, {"type": "boolean"}),
    "whole numbers": (NUMBER, {"type": "integer"}),
    "a type at all": ({}, TEXT),
    "nothing at all": (TEXT, False),
    "an alternative less": ({"oneOf": [TEXT, thing(a=TEXT)]}, TEXT),
    "a field required": (thing(a=TEXT), thing(("a",), a=TEXT)),
    "a nested field required": (thing(b=thing(a=TEXT)), thing(b=thing(("a",), a=TEXT))),
    "a field narrower": (thing(a=TEXT), thing(a=TEXT | {"maxLength": 3})),
    "a map of something": (
        {"type": "object", "additionalProperties": TEXT},
        {"type": "object", "additionalProperties": TEXT | {"maxLength": 2}},
    ),
    "a field required in a part": (
        {"allOf": [thing(("a",), a=TEXT), thing(b=TEXT)]},
        {"allOf": [thing(("a",), a=TEXT), thing(("b",), b=TEXT)]},
    ),
    "all of more": (TEXT, {"allOf": [TEXT, {"maxLength": 3}]}),
}


@pytest.mark.parametrize("name", NARROWER)
def test_narrower_breaks_requests_and_wider_answers(name: str) -> None:
    wide, narrow = NARROWER[name]
    calm = {COMPATIBLE, CLIENTS}
    assert worst(document(sent=wide), document(sent=narrow)) == BREAKING
    assert worst(document(sent=narrow), document(sent=wide)) in calm
    assert worst(document(shown=narrow), document(shown=wide)) == BREAKING
    assert worst(document(shown=wide), document(shown=narrow)) in calm


# Written in another way, the same is said.
SAME: dict[str, tuple[Any, Any]] = {
    "null": ({"type": ["string", "null"]}, {"anyOf": [{"type": "null"}, TEXT]}),
    "one of one": (TEXT, {"oneOf": [TEXT]}),
    "all of one": (TEXT | {"maxLength": 3}, {"allOf": [{"maxLength": 3}, TEXT]}),
    "constant": ({"const": "a"}, {"enum": ["a"]}),
    "anything": ({}, True),
    "whole numbers": ({"type": "integer"}, {"allOf": [NUMBER, {"type": "integer"}]}),
    "order of alternatives": (
        {"anyOf": [TEXT, NUMBER, thing(a=TEXT), thing(b=TEXT)]},
        {"anyOf": [thing(b=TEXT), NUMBER, thing(a=TEXT), TEXT]},
    ),
    "order of required": (thing(("a", "b"), a=TEXT, b=TEXT), thing(("b", "a"), a=TEXT, b=TEXT)),
    "fields in parts": (
        thing(a=TEXT, b=TEXT),
        {"allOf": [thing(a=TEXT), thing(b=TEXT)]},
    ),
    "limits that say nothing": (TEXT, TEXT | {"minLength": 0, "minimum": 3}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_says_the_same_is_no_change(name: str) -> None:
    one, other = SAME[name]
    for base, head in ((one, other), (other, one), (one, one)):
        assert compare(document(sent=base), document(sent=head)) == []
        assert compare(document(shown=base), document(shown=head)) == []


# Both ways it breaks, or nobody knows.
EITHER: dict[str, tuple[Any, Any, str]] = {
    "other type": (TEXT, {"type": "boolean"}, BREAKING),
    "other format": (TEXT | {"format": "date"}, TEXT | {"format": "uuid"}, BREAKING),
    "multiple of other": (NUMBER | {"multipleOf": 2}, NUMBER | {"multipleOf": 3}, BREAKING),
    "other values": (TEXT | {"enum": ["a"]}, TEXT | {"enum": ["b"]}, BREAKING),
    "true is not 1": ({"enum": [1]}, {"enum": [True]}, BREAKING),
    "field renamed": (thing(a=TEXT), thing(b=TEXT), BREAKING),
    "other pattern": (TEXT | {"pattern": "^a"}, TEXT | {"pattern": "^b"}, UNKNOWN),
    "unknown keyword": (TEXT, TEXT | {"frobnicate": 1}, UNKNOWN),
    "not": ({"type": "string", "not": TEXT}, {"type": "string", "not": NUMBER}, UNKNOWN),
    "condition": (thing(a=TEXT), thing(a=TEXT) | {"if": thing(("a",))}, UNKNOWN),
    "pattern of names": (
        thing() | {"patternProperties": {"^x": TEXT}},
        thing() | {"patternProperties": {"^x": NUMBER}},
        UNKNOWN,
    ),
    "clashing parts": (
        {"allOf": [TEXT | {"pattern": "^a"}, {"pattern": "b$"}]},
        {"allOf": [TEXT | {"pattern": "^a"}, {"pattern": "c$"}]},
        UNKNOWN,
    ),
}


@pytest.mark.parametrize("name", EITHER)
def test_what_is_other_breaks_both_ways(name: str) -> None:
    one, other, verdict = EITHER[name]
    for base, head in ((one, other), (other, one)):
        assert worst(document(sent=base), document(sent=head)) == verdict
        assert worst(document(shown=base), document(shown=head)) == verdict


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["sent", "shown"])
def test_a_field_that_is_gone_breaks(side: str) -> None:
    base, head = thing(a=TEXT, b=TEXT), thing(a=TEXT)
    change = only(document(**{side: base}), document(**{side: head}))
    assert change.verdict.value == BREAKING
    assert change.pointer.endswith("/properties/b")
    assert "`b` is gone" in change.words
    assert change.operations == ("make_thing",)


def test_a_new_field_breaks_only_where_it_is_demanded_or_not_expected() -> None:
    base = thing(a=TEXT)
    for head, sent in (
        (thing(a=TEXT, b=TEXT), COMPATIBLE),
        (thing(("b",), a=TEXT, b=TEXT), BREAKING),
    ):
        assert verdicts(document(sent=base), document(sent=head)) == [sent]
        assert verdicts(document(shown=base), document(shown=head)) == [COMPATIBLE]
    closed = thing(closed=True, a=TEXT)
    grown = thing(closed=True, a=TEXT, b=TEXT)
    assert verdicts(document(shown=closed), document(shown=grown)) == [CLIENTS]
    assert verdicts(document(sent=closed), document(sent=grown)) == [COMPATIBLE]


def test_a_new_field_is_one_of_those_that_a_map_had() -> None:
    base = thing() | {"additionalProperties": NUMBER}
    head = thing(a=TEXT) | {"additionalProperties": NUMBER}
    assert worst(document(sent=base), document(sent=head)) == BREAKING
    assert worst(document(shown=base), document(shown=head)) == BREAKING


def test_other_fields_that_are_no_longer_allowed_break_requests() -> None:
    base, head = thing(a=TEXT), thing(closed=True, a=TEXT)
    assert verdicts(document(sent=base), document(sent=head)) == [BREAKING]
    assert verdicts(document(sent=head), document(sent=base)) == [COMPATIBLE]
    assert verdicts(document(shown=base), document(shown=head)) == [COMPATIBLE]
    assert verdicts(document(shown=head), document(shown=base)) == [CLIENTS]


def test_what_only_the_server_writes_is_no_part_of_a_request_nor_the_reverse() -> None:
    base = thing(("a",), a=TEXT)
    for flag, side in (("readOnly", "sent"), ("writeOnly", "shown")):
        head = thing(("a", "b"), a=TEXT, b=TEXT | {flag: True})
        assert compare(document(**{side: base}), document(**{side: head})) == []
        flagged = thing(("a",), a=TEXT | {flag: True})
        assert worst(document(**{side: base}), document(**{side: flagged})) == BREAKING


def test_what_it_means_to_leave_something_out_breaks_requests() -> None:
    base, head = (thing(a=TEXT | {"default": value}) for value in ("x", "y"))
    assert verdicts(document(sent=base), document(sent=head)) == [BREAKING]
    assert verdicts(document(shown=base), document(shown=head)) == [COMPATIBLE]
    assert verdicts(document(sent=thing(a=TEXT)), document(sent=head)) == [COMPATIBLE]
    assert verdicts(document(sent=head), document(sent=thing(a=TEXT))) == [UNKNOWN]


def test_a_list_that_may_grow_does_not_break_when_it_grows() -> None:
    key = "x-extensible-enum"
    base, head = TEXT | {key: ["a"]}, TEXT | {key: ["a", "b"]}
    for side in ("sent", "shown"):
        assert verdicts(document(**{side: base}), document(**{side: head})) == [COMPATIBLE]
    assert verdicts(document(sent=head), document(sent=base)) == [BREAKING]
    assert verdicts(document(shown=head), document(shown=base)) == [COMPATIBLE]


def test_words_for_people_do_not_break() -> None:
    base = thing(a=TEXT | {"description": "A", "example": "x", "title": "A"})
    head = thing(a=TEXT | {"description": "B", "example": "y", "deprecated": True})
    for side in ("sent", "shown"):
        found = verdicts(document(**{side: base}), document(**{side: head}))
        assert found == [COMPATIBLE] * 4
