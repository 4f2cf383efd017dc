"""Every kind of field with every validator, against every sort of value: the same, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import marshmallow
import pytest
from marshmallow import EXCLUDE, ValidationError, fields
from tests.core.schemas.kinds import KINDS, Nearby
from werkzeug.datastructures import MultiDict

from trellis_schemas.input import body_decoder, query_decoder
from trellis_schemas.strict_json import strict_loads

TOKENS = [
    *("null", "true", "false", "0", "-0", "-0.0", "1", "2", "8", "9", "10", "-1", "1.0", "1.5"),
    *("1E2", "1e18", "1e19", "-1e19", "1e400", "1e-400", "NaN", "01", "2.675", "0.1"),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809"),
    *("99999999999999999999999", "[]", "{}", '[""]', '["a",null]', '{"a":1}', "[1,[2,[3]]]"),
    '["a","00000000-0000-0000-0000-000000000001"]',
]
TEXTS = [
    *("", "a", "ab", "abcd", "red", "RED", "blue", "AZURE", "word", "ja", "on", "true", "t", "no"),
    *("0", "1", "1.0", "+1", " 1 ", "1_0", "\u0663", "-1", "nan", "Infinity", "1e3", "9" * 5000),
    *("2026", "2026-01-31", "20260131", "2026-W05-6", "12:00", "12:00:00.1234567Z", "12:00+01:00"),
    *("2026-01-31T12:00", "2026-01-31 12:00Z", "2026-01-31T12:00:00.123456789+02:00"),
    *("00000000-0000-0000-0000-000000000001", "0" * 32, "{" + "0" * 32 + "}", "A" * 32),
    *("ada@example.com", "https://example.com/", "127.0.0.1", "::1", "\u00e4", "a:", ":", '"'),
]
BODIES = [*TOKENS, *(f'"{text}"' for text in TEXTS if text != '"'), '"\\""', '"\\u0000"', '"\\/"']


def made(number: int) -> Iterator[fields.Field[Any]]:
    """The fields of one kind."""
    kind, _, validators, default = KINDS[number]
    yield kind(required=True)
    yield kind(load_default=default)
    yield kind(allow_none=True)
    for validator in validators:
        yield kind(validate=validator)
    yield fields.List(kind())
    yield fields.Dict(values=kind())


def taken(fast: Any, load: Callable[..., Any], *sent: Any) -> bool:
    """Whether something was loaded; then it is what marshmallow loads."""
    if fast is not None:
        assert repr(fast) == repr(load(*sent))
    return fast is not None


def one_field(field: fields.Field[Any]) -> marshmallow.Schema:
    return marshmallow.Schema.from_dict({"a": field, "b": fields.Raw()})(unknown=EXCLUDE)


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_bodies(number: int) -> None:
    templates = ('{"a":%s}', '{"a":[%s]}', '{"a":{"b":%s}}', '{"a" : %s, "b" : ":"}')
    bodies = [(template % token).encode() for template in templates for token in BODIES]
    count = 0
    for schema in map(one_field, made(number)):
        decoder = body_decoder(schema)
        for body in (b"{}", *bodies):
            count += taken(decoder.load(body), lambda s, b: s.load(strict_loads(b)), schema, body)
    assert count or KINDS[number][0] is Nearby


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_queries(number: int) -> None:
    queries = [MultiDict({"a": text}) for text in TEXTS]
    for field in made(number):
        schema = one_field(field)
        load = query_decoder(schema).load
        if not isinstance(field, fields.List | fields.Tuple):  # which take repeated ones
            for query in (MultiDict[str, str](), *queries):
                taken(load(query), schema.load, query)


@pytest.mark.parametrize("partial", [None, True, False, ("a",), ("b.c",)])
@pytest.mark.parametrize("inner", [None, True])
@pytest.mark.parametrize("body", ['{"b":{}}', '{"b":{"d":1}}', '{"a":"","b":{"c":1,"d":2}}', "{}"])
def test_partial_loading(partial: Any, inner: Any, body: str) -> None:
    class Inner(marshmallow.Schema):
        c = fields.Integer(required=True)
        d = fields.Integer(load_default=3)

    class Outer(marshmallow.Schema):
        a = fields.String(required=True)
        b = fields.Nested(Inner(partial=inner))
        e = fields.List(fields.Nested(Inner), load_default=list)

    schema = Outer(partial=partial)
    fast = body_decoder(schema).load(body.encode())
    try:
        slow = schema.loads(body)
    except ValidationError:
        slow = None
    assert fast in (None, slow)
    assert (fast is None) == (slow is None or isinstance(partial, tuple))


def test_a_default_may_say_that_there_is_none() -> None:
    schema = marshmallow.Schema.from_dict(
        {"a": fields.String(load_default=lambda: marshmallow.missing)}
    )()
    assert body_decoder(schema).load(b"{}") in (None, schema.load({}))
