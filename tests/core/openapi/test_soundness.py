"""A validator that knows nothing of comparisons agrees: where nothing breaks, values still fit."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.core.openapi.documents import document, verdicts

from trellis_openapi.comparison import compare

CALM = {"compatible", "breaking for generated clients"}
NAMES = ("a", "b")

limits = st.one_of(st.none(), st.integers(0, 3))


def constrained(kind: str, least: str, most: str) -> st.SearchStrategy[dict[str, Any]]:
    def schema(low: int | None, high: int | None) -> dict[str, Any]:
        bounds = {least: low, most: high}
        return {"type": kind} | {key: value for key, value in bounds.items() if value is not None}

    return st.builds(schema, limits, limits)


VALUES: tuple[Any, ...] = (None, True, False, "", "a", "bcd", 0, 1, 2.5, 3, 9, [], {})
SCALARS = st.one_of(
    constrained("string", "minLength", "maxLength"),
    constrained("integer", "minimum", "exclusiveMaximum"),
    constrained("number", "exclusiveMinimum", "maximum"),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3, unique_by=repr).map(
        lambda values: {"enum": values}
    ),
    st.sampled_from(VALUES).map(lambda value: {"const": value}),
    st.just({}),
    st.booleans(),
)


Pair = tuple[Any, Any]


def both(
    kind: Callable[..., Any], *parts: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[Any, Any]]:
    """The old and the new schema, made alike of old and of new parts."""
    return st.tuples(*parts).map(
        lambda found: (
            kind(*(_side(one, 0) for one in found)),
            kind(*(_side(one, 1) for one in found)),
        )
    )


def _side(part: Any, side: int) -> Any:
    """Of pairs, lists and dictionaries of pairs the old or the new ones; None is not there."""
    if isinstance(part, tuple):
        return part[side]
    if isinstance(part, list):
        found = [one[side] for one in part]
        return [one for one in found if one is not NOT_THERE]
    fields = {key: one[side] for key, one in part.items()}
    return {key: one for key, one in fields.items() if one is not NOT_THERE}


NOT_THERE = object()


def pair(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pair]:
    """Mostly twice the same, so that much is compared that has not changed."""
    return st.one_of(values.map(lambda one: (one, one)), st.tuples(values, values))


def composed(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    optional = st.one_of(
        inner,
        inner.map(lambda one: (one[0], NOT_THERE)),
        inner.map(lambda one: (NOT_THERE, one[1])),
    )
    parts = st.lists(optional, max_size=3)
    fields = st.dictionaries(st.sampled_from(NAMES), optional)
    required = pair(st.lists(st.sampled_from(NAMES), unique=True))
    return st.one_of(
        both(array, inner, pair(st.integers(0, 3))),
        both(thing, fields, required),
        both(lambda found: {"anyOf": found} if found else {}, parts),
        both(lambda found: {"allOf": found} if found else {}, parts),
    )


def array(items: Any, most: int) -> Any:
    return {"type": "array", "items": items, "maxItems": most}


def thing(properties: Any, required: Any) -> Any:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


PAIRS = st.recursive(pair(SCALARS), composed, max_leaves=6)


def values() -> list[Any]:
    """Values of each kind, and arrays and objects of them."""
    found = [*VALUES]
    found += [[one] for one in VALUES] + [[1, "a"], ["a", "a", "a", "a"]]
    found += [{"a": one} for one in VALUES] + [{"b": one, "a": "a"} for one in VALUES]
    return [*found, {"a": ["a"]}, {"a": {"b": 1}}, {"b": [{"a": None}]}, [[1]], [{"a": "a"}]]


def fits(value: Any, schema: Any) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def opened(schema: Any) -> Any:
    """Without the refusal of unknown fields: clients leave them alone."""
    if isinstance(schema, list):
        return [opened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "additionalProperties"}
    return {
        key: value if key in ("enum", "const") else opened(value) for key, value in kept.items()
    }


EXAMPLES = pytest.mark.parametrize("examples", [100, pytest.param(3000, marks=pytest.mark.nightly)])


def for_pairs(examples: int, holds: Callable[[Pair], None]) -> None:
    settings(max_examples=examples, deadline=None)(given(PAIRS)(holds))()


@EXAMPLES
def test_where_nothing_breaks_what_was_taken_is_taken(examples: int) -> None:
    def holds(schemas: Pair) -> None:
        old, new = schemas
        if set(verdicts(document(sent=old), document(sent=new))) <= CALM:
            for value in values():
                assert fits(value, new) or not fits(value, old), value

    for_pairs(examples, holds)


@EXAMPLES
def test_where_nothing_breaks_what_comes_could_have_come(examples: int) -> None:
    def holds(schemas: Pair) -> None:
        old, new = schemas
        if set(verdicts(document(shown=old), document(shown=new))) <= CALM:
            for value in values():
                assert fits(value, opened(old)) or not fits(value, new), value

    for_pairs(examples, holds)


@EXAMPLES
def test_a_schema_has_not_changed_from_itself(examples: int) -> None:
    def holds(schemas: Pair) -> None:
        schema = schemas[0]
        twice = document(sent=schema, shown=schema)
        assert compare(twice, deepcopy(twice)) == []

    for_pairs(examples, holds)
