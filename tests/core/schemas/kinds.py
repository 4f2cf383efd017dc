"""Every kind of field, with what is often sent for it and what never should be."""

from __future__ import annotations

import enum
import ipaddress
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from marshmallow import ValidationError, fields, validate


class Literal(str):
    """A token that `json.dumps` would not write."""

    __slots__ = ()


class Colour(enum.Enum):
    """Told by its name, or by text."""

    RED = "red"
    BLUE = "blue"
    AZURE = "blue"  # noqa: PIE796 (an alias)


class Level(enum.IntEnum):
    """Told by a number."""

    LOW = 1
    HIGH = 2


class Either(enum.Enum):
    """Told by text or a number."""

    ONE = 1
    WORD = "word"


class Nearby(fields.Integer):
    """Looks at the other values."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> Any:
        return super()._deserialize(value, attr, data, **options) + len(data or ())


class Doubled(fields.Integer):
    """Has a way of its own with the value alone."""

    def _validated(self, value: Any) -> Any:
        return super()._validated(value) * 2


class Tripled(fields.Integer):
    """The same, in another place."""

    def _format_num(self, value: Any) -> Any:
        return super()._format_num(value) * 3


def _even(value: Any) -> None:
    if len(repr(value)) % 2:
        raise ValidationError("Odd.")


def _now() -> datetime:
    return datetime(2026, 1, 31, tzinfo=UTC)


texts = st.text(max_size=6) | st.sampled_from(["red", "RED", 'a":b', " :", '\\":', "true", "7", ""])
numbers = st.integers(-3, 12) | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1])
reals = st.floats(allow_nan=False, allow_infinity=False) | numbers
literals = st.sampled_from(
    [
        *("-0", "-0.0", "1E2", "1.0", "1e400", "NaN", "-Infinity", "01", "+1", "nul"),
        *("9223372036854775808", "-1e19", "1e19", "9" * 30, "9" * 5000),
        *('"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\/"'),
    ]
).map(Literal)
plain = st.recursive(
    st.none() | st.booleans() | reals | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
deep = st.integers(60, 70).map(lambda levels: json.loads("[" * levels + "1" + "]" * levels))
anything = plain | literals | deep

moments = st.one_of(
    st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat),
    st.sampled_from(
        ["2026-01-31T12:00:00.123456789Z", "2026-01-31 12:00+02:00", "20260131T12Z", "2026-W05-6"]
    ),
)
LENGTHS = (validate.Length(1, 3), validate.Length(max=4), validate.Length(equal=2))
_RANGE = (validate.Range(0, 9), validate.Range(0, 8, min_inclusive=False, max_inclusive=False))
_TEXT = (*LENGTHS, validate.OneOf(["red", "a", "7"]), validate.Regexp("[a-z]*$"), _even)
_NUMBER = (*_RANGE, validate.OneOf([1, 2, 3]), validate.NoneOf([4]), validate.Equal(2), _even)
_ANY = (_even,)

# Each kind: what makes the field, what is often sent for it, its validators, values of it.
KINDS: list[tuple[Callable[..., Any], st.SearchStrategy[Any], tuple[Any, ...], Any]] = [
    (fields.String, texts, _TEXT, "a"),
    (fields.Integer, numbers, _NUMBER, 3),
    (lambda **o: fields.Integer(strict=True, **o), numbers, _NUMBER, 3),
    (Doubled, numbers, _NUMBER, 3),
    (Tripled, numbers, _NUMBER, 3),
    (fields.Float, reals, _NUMBER, 2.5),
    (fields.Decimal, reals | st.sampled_from(["1.50", "x"]), _RANGE, 3),
    (lambda **o: fields.Decimal(places=1, **o), reals, (), 3),
    (fields.Boolean, st.booleans() | st.sampled_from(["on", "0", 1]), _ANY, True),
    (lambda **o: fields.Boolean(truthy={"ja"}, falsy={"nein"}, **o), st.just("ja"), (), True),
    (fields.UUID, st.uuids().map(str) | st.uuids().map(lambda u: u.hex), _ANY, None),
    (fields.DateTime, moments, (), _now),
    (fields.AwareDateTime, moments, (), _now),
    (lambda **o: fields.AwareDateTime(default_timezone=UTC, **o), moments, (), _now),
    (fields.NaiveDateTime, moments, (), None),
    (lambda **o: fields.NaiveDateTime(timezone=UTC, **o), moments, (), None),
    (lambda **o: fields.DateTime(format="timestamp", **o), numbers, (), _now),
    (lambda **o: fields.DateTime(format="%Y", **o), st.just("2026"), (), _now),
    (fields.Date, st.dates().map(str), (), None),
    (fields.Time, st.times().map(str), (), None),
    (fields.TimeDelta, numbers, (), None),
    (lambda **o: fields.Enum(Colour, **o), st.sampled_from(["RED", "AZURE"]), _ANY, Colour.RED),
    (lambda **o: fields.Enum(Colour, by_value=True, **o), st.just("blue"), (), None),
    (lambda **o: fields.Enum(Level, by_value=True, **o), st.integers(1, 2), _RANGE, Level.LOW),
    (lambda **o: fields.Enum(Either, by_value=True, **o), st.sampled_from([1, "word"]), (), None),
    (fields.Email, st.just("ada@example.com"), _TEXT, ""),
    (fields.Url, st.just("https://example.com/"), LENGTHS, ""),
    (fields.IP, st.ip_addresses().map(str), _ANY, ipaddress.ip_address("127.0.0.1")),
    (fields.Raw, plain, _ANY, None),
    (fields.Dict, st.dictionaries(texts, plain, max_size=3), LENGTHS, dict),
    (
        lambda **o: fields.Dict(keys=fields.String(), values=fields.Integer(), **o),
        st.dictionaries(texts, numbers, max_size=2),
        LENGTHS,
        dict,
    ),
    (
        lambda **o: fields.Tuple((fields.String(), fields.UUID()), **o),
        st.tuples(texts, st.uuids().map(str)).map(list),
        (),
        None,
    ),
    (lambda **o: fields.Integer(post_load=lambda number: number + 1, **o), numbers, (), 3),
    (lambda **o: fields.String(pre_load=str.strip, **o), texts, (), "a"),
    (Nearby, numbers, (), 3),
]
