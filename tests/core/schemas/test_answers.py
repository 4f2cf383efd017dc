"""Compiled answers are those of marshmallow, whatever the schema and whatever the object."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import ipaddress
import json
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import marshmallow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import fields, post_dump, pre_dump
from sqlalchemy import Row
from sqlalchemy.engine.result import SimpleResultMetaData

from trellis_schemas.answers import Encoder, by_marshmallow
from trellis_schemas.schema import Schema, Timestamp
from trellis_schemas.strict_json import to_json


class Key(enum.StrEnum):
    SIZE = "size in bytes"


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Shouted(fields.String):
    """A field with a way of its own."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else str(value).upper()


class Counted(fields.Integer):
    """One that finds its value by itself."""

    def get_value(self, obj: Any, attr: str, accessor: Any = None, default: Any = None) -> Any:
        return 7


class Indexed:
    """An object that is read as a mapping, and as an object where that fails."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self.label = values, "by attribute"

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
MOMENTS = st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=2))]))
ODD = st.one_of(
    st.none(), st.booleans(), TEXTS, st.integers(), st.floats(), st.binary(max_size=3), st.uuids(),
    st.decimals(allow_nan=False), st.lists(st.integers(), max_size=2), st.datetimes(), st.dates(),
    st.just(Color.RED), st.just({"a": [1, None, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]}),
)  # fmt: skip
"""Values of any type, for fields of any type."""

KINDS: list[tuple[Callable[..., fields.Field[Any]], st.SearchStrategy[Any]]] = [
    (fields.String, TEXTS),
    (fields.Url, TEXTS),
    (fields.Integer, st.integers()),
    (lambda **o: fields.Integer(as_string=True, **o), st.integers()),
    (fields.Float, st.floats()),
    (lambda **o: fields.Float(allow_nan=True, **o), st.floats()),
    (fields.Boolean, st.booleans()),
    (fields.UUID, st.uuids()),
    (fields.DateTime, st.datetimes() | MOMENTS),
    (lambda **o: fields.DateTime(format="rfc", **o), MOMENTS),
    (lambda **o: fields.DateTime(format="timestamp", **o), MOMENTS),
    (lambda **o: fields.DateTime(format="%Y", **o), MOMENTS),
    (fields.NaiveDateTime, st.datetimes()),
    (Timestamp, MOMENTS),
    (fields.Date, st.dates()),
    (fields.Time, st.times() | st.times(timezones=st.just(dt.UTC))),
    (fields.TimeDelta, st.timedeltas()),
    (fields.Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2)),
    (lambda **o: fields.Decimal(as_string=True, **o), st.decimals(allow_nan=False)),
    (lambda **o: fields.Enum(Color, **o), st.sampled_from(Color)),
    (lambda **o: fields.Enum(Color, by_value=True, **o), st.sampled_from(Color)),
    (lambda **o: fields.Enum(Number, by_value=fields.Integer, **o), st.sampled_from(Number)),
    (lambda **o: fields.Enum(Rights, **o), st.sampled_from([Rights.READ, Rights(3), Rights(0)])),
    (fields.Raw, ODD),
    (fields.Dict, st.dictionaries(TEXTS, ODD, max_size=2)),
    (fields.IP, st.ip_addresses()),
    (Shouted, TEXTS),
    (Counted, st.integers()),
    (lambda **o: fields.Constant(5, **o), st.integers()),
    (lambda **o: fields.Function(lambda obj: type(obj).__name__, **o), ODD),
    (lambda **o: fields.Tuple((fields.String(), fields.Integer()), **o), st.tuples(TEXTS, ODD)),
]


@st.composite
def any_field(draw: st.DrawFn, depth: int) -> tuple[Callable[..., Any], st.SearchStrategy[Any]]:
    """A maker of a field, and values for it."""
    composed = draw(st.integers(0, 4)) if depth else 4
    if composed == 0:
        make, values = draw(any_field(depth - 1))
        return lambda **o: fields.List(make(), **o), st.lists(values, max_size=3)
    if composed in (1, 2):
        schema, objects = draw(any_schema(depth - 1))
        many = composed == 2
        values = st.lists(objects, max_size=3) if many else objects
        return lambda **o: fields.Nested(schema, many=many, **o), values
    make, values = draw(st.sampled_from(KINDS))
    return make, values


@st.composite
def any_schema(
    draw: st.DrawFn, depth: int
) -> tuple[type[marshmallow.Schema], st.SearchStrategy[Any]]:
    """A schema, and objects for it that may lack attributes or have odd ones."""
    declared: dict[str, Any] = {}
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name in draw(
        st.lists(st.sampled_from(["id", "label", "keys", "count", "x y"]), unique=True)
    ):
        make, of_kind = draw(any_field(depth))
        options: dict[str, Any] = {}
        if draw(st.booleans()):
            options["data_key"] = draw(st.sampled_from([name, f"Größe {name}", f'"{name}"']))
        if draw(st.integers(0, 3)) == 0:
            options["attribute"] = draw(st.sampled_from([f"{name}2", f"inner.{name}"]))
        if draw(st.integers(0, 3)) == 0:
            options["dump_default"] = draw(st.sampled_from([None, 3, "three", lambda: "made"]))
        declared[name] = make(**options)
        values[options.get("attribute", name)] = st.one_of(of_kind, of_kind, of_kind, ODD)
    base = draw(st.sampled_from([Schema, Schema, marshmallow.Schema]))
    shapes: list[Callable[[dict[str, Any]], Any]] = [dict, OrderedDict, Indexed, _object, _row]
    shape = draw(st.sampled_from(shapes))
    held = st.fixed_dictionaries({}, optional=values).map(shape)
    return type("Generated", (base,), declared), held


def _object(values: dict[str, Any]) -> Any:
    return SimpleNamespace(**values)


def _row(values: dict[str, Any]) -> Any:
    metadata = SimpleResultMetaData(list(values))
    return Row(metadata, None, metadata._key_to_index, tuple(values.values()))


@st.composite
def schema_and_value(draw: st.DrawFn) -> tuple[marshmallow.Schema, Any]:
    schema, objects = draw(any_schema(depth=2))
    names = sorted(schema._declared_fields)
    many = draw(st.booleans())
    options: dict[str, Any] = {"many": many}
    narrowed: bool = draw(st.booleans())
    if names and narrowed:
        part = draw(st.sets(st.sampled_from(names), min_size=1))
        how: str = draw(st.sampled_from(["only", "exclude"]))
        options[how] = part
    value: Any = draw(st.lists(objects, max_size=3)) if many else draw(objects)
    return schema(**options), draw(st.sampled_from([value, value, value, None]))


def outcome(write: Callable[[], bytes]) -> Any:
    """What was written, or that it failed; which of two faults comes first is nobody's business."""
    try:
        return json.loads(re.sub(rb" at 0x[0-9a-f]+", b"", write()))  # of methods of what was sent
    except Exception:  # noqa: BLE001 (any)
        return "failed"


@pytest.mark.parametrize("examples", [100, pytest.param(3000, marks=pytest.mark.nightly)])
def test_compiled_answers_are_those_of_marshmallow(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(schema_and_value())
    def check(case: tuple[marshmallow.Schema, Any]) -> None:
        schema, value = case
        expected = outcome(lambda: to_json(schema.dump(value)))
        assert outcome(lambda: Encoder(schema).encode(value)) == expected

    check()


def test_ordinary_values_are_not_written_by_marshmallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of this were slow, and no test would see it."""

    class Part(Schema):
        n = fields.Integer()

    class Whole(Schema):
        id = fields.UUID()
        name = fields.String(data_key="Name")
        ratio = fields.Float()
        done = fields.Boolean()
        at = Timestamp()
        day = fields.Date()
        color = fields.Enum(Color)
        tags = fields.List(fields.String())
        part = fields.Nested(Part)
        parts = fields.List(fields.Nested(Part))
        nothing = fields.String()

    moment = dt.datetime(2026, 1, 31, 12, 0, 0, 500000, tzinfo=dt.UTC)
    value = {
        "id": uuid.UUID(int=1), "name": "Ada", "ratio": 0.5, "done": True, "at": moment,
        "day": moment.date(), "color": Color.RED, "tags": ["a", None], "part": {"n": 1},
        "parts": [{"n": 2}], "nothing": None,
    }  # fmt: skip
    encoder = Encoder(Whole(many=True))
    monkeypatch.setattr(fields.Field, "serialize", None)
    monkeypatch.setattr(marshmallow.Schema, "dump", None)
    for shaped in (value, SimpleNamespace(**value), _row(value)):
        assert json.loads(encoder.encode([shaped, shaped]))[1] == {
            "id": "00000000-0000-0000-0000-000000000001", "Name": "Ada", "ratio": 0.5, "done": True,
            "at": "2026-01-31T12:00:00.500000Z", "day": "2026-01-31", "color": "RED",
            "tags": ["a", None], "part": {"n": 1}, "parts": [{"n": 2}], "nothing": None,
        }  # fmt: skip


class Folder(Schema):
    """Holds itself."""

    name = fields.String()
    folders = fields.List(fields.Nested("Folder"))


def test_a_schema_may_hold_itself() -> None:
    value = {"name": "a", "folders": [{"name": "b", "folders": []}, {"name": "c"}]}
    assert json.loads(Encoder(Folder()).encode(value)) == value
    assert list(by_marshmallow(Folder())) == []


def test_what_is_in_the_way_is_told() -> None:
    class Hooked(Schema):
        n = fields.Integer()

        @post_dump
        def wrapped(self, data: Any, **_: Any) -> Any:
            return {"data": data}

    class Prepared(Schema):
        n = fields.Integer()

        @pre_dump
        def doubled(self, data: Any, **_: Any) -> Any:
            return {"n": data["n"] * 2}

    class Whole(Schema):
        hooked = fields.Nested(Hooked)
        prepared = fields.Nested(Prepared, many=True)
        loud = Shouted()
        money = fields.List(fields.Decimal())
        host = fields.Function(lambda _: "here")

    value = {"hooked": {"n": 1}, "prepared": [{"n": 1}], "loud": "a", "money": [decimal.Decimal(1)]}
    assert json.loads(Encoder(Whole()).encode(value)) == {
        "hooked": {"data": {"n": 1}},
        "prepared": [{"n": 2}],
        "loud": "A",
        "money": ["1"],
        "host": "here",
    }
    assert dict(by_marshmallow(Whole())) == {
        "/hooked": "Hooked has a post_dump hook",
        "/prepared": "Prepared has a pre_dump hook",
        "/loud": "no rule for Shouted as it is set",
        "/money/*": "no rule for Decimal as it is set",
        "/host": "Function makes its value by itself",
    }
    assert json.loads(Encoder(Hooked(many=True)).encode([{"n": 1}])) == [{"data": {"n": 1}}]


def test_a_key_may_be_a_member_of_an_enumeration() -> None:
    schema = type("Sized", (Schema,), {"size": fields.Integer(data_key=Key.SIZE)})()
    assert json.loads(Encoder(schema).encode({"size": 3})) == {"size in bytes": 3}


def test_what_is_called_by_a_member_of_an_enumeration_is_found() -> None:
    schema = type("Sized", (Schema,), {"size": fields.Integer(attribute=Key.SIZE)})()
    for value in ({"size in bytes": 3}, SimpleNamespace(**{"size in bytes": 3})):
        assert json.loads(Encoder(schema).encode(value)) == {"size": 3}


def test_a_format_of_its_own_is_the_fields_own() -> None:
    class Counted(fields.Date):
        SERIALIZATION_FUNCS = {"iso": lambda day: f"day {day.day}"}

    schema = type("Dated", (Schema,), {"on": Counted()})()
    assert json.loads(Encoder(schema).encode({"on": dt.date(2026, 1, 31)})) == {"on": "day 31"}
    assert dict(by_marshmallow(schema)) == {"/on": "no rule for Counted as it is set"}


def test_a_schema_that_finds_values_by_itself_is_told() -> None:
    class Shifted(Schema):
        n = fields.Integer()

        def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
            return obj[0]

    assert json.loads(Encoder(Shifted()).encode([7])) == {"n": 7}
    assert dict(by_marshmallow(Shifted())) == {"": "Shifted finds its values by itself"}


def test_an_address_is_written_as_marshmallow_does() -> None:
    schema = type("Host", (Schema,), {"at": fields.IP()})()
    assert json.loads(Encoder(schema).encode({"at": ipaddress.ip_address("::1")})) == {"at": "::1"}
