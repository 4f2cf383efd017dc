"""Compiled loading gives what marshmallow gives, or leaves it to marshmallow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import marshmallow
import pytest
from flask import Flask, request
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import EXCLUDE
from tests.core.schemas.kinds import texts
from tests.core.schemas.sent import bodies, schemas
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from trellis.api.arguments import ArgumentsParser
from trellis.errors import DomainError
from trellis_schemas.input import Decoder, body_decoder, query_decoder
from trellis_schemas.strict_json import strict_loads

PARSER = ArgumentsParser()
EXAMPLES = [150, pytest.param(3000, marks=pytest.mark.nightly)]


def told(load: Callable[[], Any]) -> str | None:
    """What is loaded, in full: values, types and order; None when it is refused."""
    try:
        return repr(load())
    except Exception:  # noqa: BLE001 (a function of a field may raise what it likes)
        return None


def compare(seen: Counter[str], decoder: Decoder, fast: Any, slow: str | None, usual: bool) -> None:
    if fast is not None:
        assert repr(fast) == slow
    if slow is not None and usual and all(path for path, _ in decoder.reasons):
        seen["good"] += 1
        seen["taken"] += fast is not None


@pytest.mark.parametrize("examples", EXAMPLES)
def test_bodies_load_the_same_or_not_at_all(examples: int) -> None:
    seen: Counter[str] = Counter()

    @settings(deadline=None, max_examples=examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        schema, values = data.draw(schemas())
        body, usual = data.draw(bodies(values))
        decoder = body_decoder(schema)
        slow = told(lambda: schema.load(strict_loads(body)))
        compare(seen, decoder, decoder.load(body), slow, usual)

    check()
    assert seen["good"] > examples * 0.05
    assert seen["taken"] > seen["good"] * 0.5


@pytest.mark.parametrize("examples", EXAMPLES)
def test_queries_load_the_same_or_not_at_all(examples: int) -> None:
    seen: Counter[str] = Counter()

    @settings(deadline=None, max_examples=examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        schema, values = data.draw(schemas(depth=1, forms=["one", "one", "list"]))
        sent = MultiDict(as_parameters(data.draw(values)))
        usual = data.draw(st.booleans())
        if not usual:
            sent.add(data.draw(st.sampled_from([*sent, "else"])), data.draw(texts))
        proxy: Any = MultiDictProxy(sent, schema)
        decoder = query_decoder(schema, proxy.multiple_keys)
        slow = told(lambda: schema.load(proxy, unknown=EXCLUDE))
        compare(seen, decoder, decoder.load(sent), slow, usual)

    check()
    assert seen["good"] > examples * 0.05
    assert seen["taken"] > seen["good"] * 0.5


def as_parameters(values: dict[str, Any]) -> list[tuple[str, str]]:
    several = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
    return [(key, str(value)) for key, each in several.items() for value in each]


def outcome(
    parse: Callable[..., Any], schema: marshmallow.Schema, location: str
) -> tuple[object, ...]:
    try:
        return ("loaded", repr(parse(PARSER, schema, request, location=location)))
    except DomainError as error:
        return (type(error), error.detail, error.extensions)
    except Exception as error:  # noqa: BLE001 (a hook's)
        return (type(error), str(error))


@settings(deadline=None)
@given(st.data())
def test_requests_get_the_same_values_and_the_same_errors(data: st.DataObject) -> None:
    schema, values = data.draw(schemas())
    body, _ = data.draw(bodies(values))
    app = Flask("trellis")
    content_type = data.draw(
        st.sampled_from(["application/json", "application/json", "text/plain"])
    )
    with app.test_request_context(
        method="POST", data=body, content_type=content_type, query_string=data.draw(queries)
    ):
        for location in ("json", "query"):
            ours = outcome(ArgumentsParser.parse, schema, location)
            assert ours == outcome(FlaskParser.parse, schema, location)


queries = st.dictionaries(st.sampled_from("abcde"), texts, max_size=3)
