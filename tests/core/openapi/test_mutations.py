"""Whatever is taken out of the document of what is installed, the comparison notices both ways."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trellis.api.requests import EXTENSION
from trellis_openapi.comparison import compare
from trellis_openapi.nodes import BadDocument

Steps = tuple[str | int, ...]

PATHS = ("/v1/auth/sessions", "/v1/media/assets", "/v1/webhooks/endpoints/{endpoint_id}")


@pytest.fixture
def whole(app: Flask) -> dict[str, Any]:
    """Some operations of the document, with the components that they use."""
    document: dict[str, Any] = app.extensions[EXTENSION].document()
    document["paths"] = {path: document["paths"][path] for path in PATHS}
    components = document["components"]
    used = set(references(document["paths"], document))
    for kind in ("schemas", "responses"):
        components[kind] = {
            name: value
            for name, value in components[kind].items()
            if f"#/components/{kind}/{name}" in used
        }
    return document


def references(node: Any, document: Any, met: frozenset[str] = frozenset()) -> Iterator[str]:
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target not in met:
            yield target
            found = document
            for step in target.split("/")[1:]:
                found = found[step]
            yield from references(found, document, met | {target})
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from references(inner, document, met)


def places(node: Any, steps: Steps = ()) -> Iterator[Steps]:
    """Every member and element below, but for what says the same when it is not there."""
    inner: Any = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in inner:
        if value is False or value == []:
            continue
        if not (key == "type" and "enum" in node):  # of which the type follows
            yield (*steps, key)
        if isinstance(value, dict | list):
            yield from places(value, (*steps, key))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_what_is_taken_out_is_noticed_both_ways(whole: dict[str, Any], data: st.DataObject) -> None:
    *above, last = data.draw(st.sampled_from(list(places(whole))))
    head = deepcopy(whole)
    where: Any = head
    for step in above:
        where = where[step]
    del where[last]
    for one, other in ((whole, head), (head, whole)):
        try:
            assert compare(one, other)
        except BadDocument:
            continue  # what it leads to is not there


def test_nothing_is_noticed_where_nothing_was_taken_out(whole: dict[str, Any]) -> None:
    assert compare(whole, deepcopy(whole)) == []
