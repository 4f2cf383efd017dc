"""What compiled code takes, and what it leaves to marshmallow."""

from __future__ import annotations

import enum
import linecache
from typing import Any

import marshmallow
import pytest
from marshmallow import EXCLUDE, RAISE, ValidationError, fields
from tests.core.schemas.things import PartSchema, ThingSchema
from werkzeug.datastructures import MultiDict

from trellis_schemas.input import body_decoder, query_decoder
from trellis_schemas.schema import Schema, Timestamp


def taken(schema: type[marshmallow.Schema], body: str) -> Any:
    return body_decoder(schema()).load(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"title":"a","ownerId":"00000000-0000-0000-0000-000000000001"}',
        '{"parts": [{"name": "x"}, {"size": 2, "name": "y"}], "title": "a"}',
        '{\n  "title" : "a",\r\n\t"at" \n: "2026-01-31T12:00:00+01:00"\n}',
        '{"title":"\\u00e4 \\ud83d\\ude00 \\"","at":null}',
        '{"title":"at 12:00, or : so","data":{"a":[1,{"b":null}]}}',
        '{"t\\u0069tle":"a"}',
    ],
)
def test_good_input_is_taken(body: str) -> None:
    assert taken(ThingSchema, body) == ThingSchema().loads(body)


def test_a_list_of_objects_is_taken() -> None:
    schema = PartSchema(many=True)
    assert body_decoder(schema).load(b"[]") == []
    assert body_decoder(schema).load(b'[{"name":"x"},{"name":"y"}]') == [
        {"name": "x", "size": 1},
        {"name": "y", "size": 1},
    ]
    assert body_decoder(schema).load(b'[{"name":"x","name":"y"}]') is None


def test_names_may_be_members_of_enumerations() -> None:
    class Names(enum.StrEnum):
        KEY = "theKey"
        COLUMN = "the_column"

    schema = Schema.from_dict({"a": fields.String(data_key=Names.KEY, attribute=Names.COLUMN)})
    assert taken(schema, '{"theKey":"x"}') == {"the_column": "x"}
    assert query_decoder(schema()).load(MultiDict({"theKey": "x"})) == {"the_column": "x"}


@pytest.mark.parametrize(
    "body",
    [
        '{"title":"a","title":"a"}',
        '{"title":"a","title" :"a"}',
        '{"title":"a","t\\u0069tle":"a"}',
        '{"title":"a","parts":[{"name":"x","name":"x"}]}',
        '{"title":"a","data":{"a":1,"a":1}}',
        '{"title":"a","data":[[{"a":{},"a"\t:{}}]]}',
        '{"title":"a","else":1}',
        '{"title":"a","parts":[{"name":"x","else":":"}]}',
        '{"title":"a","data":9223372036854775808}',
        '{"title":"a","data":[{"a":-9223372036854775809}]}',
        '{"title":"a","data":"\\u0000"}',
        '{"title":"a","data":' + "[" * 64 + "]" * 64 + "}",
        '{"title":""}',
        '{"title":null}',
        '{"title":"a","at":"2026-01-31T12:00:00"}',
        "{}",
        "[]",
        "null",
    ],
)
def test_bad_input_is_left_to_marshmallow(body: str) -> None:
    assert taken(ThingSchema, body) is None


def test_text_that_looks_like_a_key_is_left_to_marshmallow() -> None:
    # It might hide a key; marshmallow then finds that it hid none.
    assert taken(ThingSchema, '{"title":":-)"}') is None


def test_unknown_keys_are_left_to_marshmallow_though_it_may_drop_them() -> None:
    class Tolerant(PartSchema):
        class Meta:
            unknown = EXCLUDE

    assert taken(Tolerant, '{"name":"x"}') == {"name": "x", "size": 1}
    assert taken(Tolerant, '{"name":"x","else":1}') is None


class Shouting(fields.String):
    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> Any:
        return super()._deserialize(value, attr, data, **options).upper()


class HookedSchema(Schema):
    low = fields.Integer(required=True)
    high = fields.Integer(required=True)

    @marshmallow.validates("low")
    def _is_even(self, value: int, **_: Any) -> None:
        if value % 2:
            raise ValidationError("Odd.")

    @marshmallow.validates_schema
    def _is_a_range(self, data: Any, **_: Any) -> None:
        if data["low"] > data["high"]:
            raise ValidationError("Not a range.")

    @marshmallow.post_load
    def _range(self, data: Any, **_: Any) -> range:
        return range(data["low"], data["high"])


def test_hooks_run_on_what_was_loaded() -> None:
    outer = Schema.from_dict({"range": fields.Nested(HookedSchema)})
    assert body_decoder(outer()).reasons == ()
    assert taken(outer, '{"range":{"low":2,"high":5}}') == {"range": range(2, 5)}
    assert taken(outer, '{"range":{"low":3,"high":5}}') is None
    assert taken(outer, '{"range":{"low":6,"high":5}}') is None


class ToldSchema(PartSchema):
    @marshmallow.post_load(pass_collection=True)
    def _told(self, data: Any, **options: Any) -> Any:
        return data, options


@pytest.mark.parametrize("own", [None, EXCLUDE, RAISE])
@pytest.mark.parametrize("partial", [None, False, True])
def test_hooks_are_told_what_marshmallow_tells_them(own: Any, partial: bool | None) -> None:
    class Outer(ToldSchema):
        one = fields.Nested(ToldSchema, unknown=own)
        many = fields.Nested(ToldSchema, many=True, unknown=own)

    body = b'{"name":"x","one":{"name":"x"},"many":[{"name":"x"}]}'
    schema = Outer(partial=partial, unknown=EXCLUDE)
    assert body_decoder(schema).load(body) == schema.loads(body)


class PreparedSchema(PartSchema):
    @marshmallow.pre_load
    def _prepare(self, data: Any, **_: Any) -> Any:
        return {**data, "size": 7}


class TreeSchema(Schema):
    children = fields.List(fields.Nested(lambda: TreeSchema))


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (fields.Nested(PreparedSchema), "PreparedSchema has a pre_load hook"),
        (fields.Nested(TreeSchema), None),
        (fields.String(post_load=str.upper), "String has functions of its own"),
        (fields.Decimal(), "no rule for Decimal as it is set"),
        (fields.List(Shouting()), "no rule for Shouting as it is set"),
        (Timestamp(format="rfc"), "no rule for Timestamp as it is set"),
    ],
)
def test_a_part_can_be_left_to_marshmallow(field: fields.Field[Any], reason: str | None) -> None:
    schema = Schema.from_dict({"part": field, "name": fields.String(required=True)})
    decoder = body_decoder(schema())
    if reason:
        path = "/part/*" if isinstance(field, fields.List) else "/part"
        assert decoder.reasons == ((path, reason),)
    else:
        assert decoder.reasons == (("/part/children/*", "TreeSchema holds itself"),)
    assert decoder.load(b'{"name":"a"}') == {"name": "a"}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"a": Shouting()}, "a: Shouting overrides _deserialize"),
        ({"a": fields.String(attribute="b.c")}, "a: the attribute lies in another object"),
        (
            {"a": fields.String(data_key="b", load_only=True), "b": fields.String()},
            "Drawn: Multiple fields rename to the same name, field names must be unique",
        ),
    ],
)
def test_a_whole_can_be_left_to_marshmallow(members: dict[str, Any], reason: str) -> None:
    decoder = body_decoder(marshmallow.Schema.from_dict(members, name="Drawn")())
    assert decoder.reasons == (("", reason),)
    assert decoder.load(b"{}") is None


def test_the_generated_text_is_kept_for_tracebacks() -> None:
    body_decoder(ThingSchema())
    lines = [line for name in linecache.cache for line in linecache.getlines(name)]
    assert any("['title'] = " in line for line in lines)
