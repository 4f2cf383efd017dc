"""What loading costs by compiled code, with all its guards, against marshmallow.

    python perf/micro/compiled_decoder.py                  # half a minute
    python perf/micro/compiled_decoder.py --rounds 1000

All ways run by turns in this process, ten calls each, in an order that is new each time.

- body: an object of ten fields. `loads` is `schema.loads`, `strict` what a request took before:
  strict JSON, then marshmallow. `refused` is what compiled code does in vain for a body that has a
  key twice. Its parts: `decode` is msgspec, `function` the generated code, `guards` the looks for
  NUL and for keys that come twice.
- items: a list of 100 such objects.
- query: cursor and limit of a page, by webargs with marshmallow, and compiled.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from flask import Flask, request
from marshmallow import fields, validate
from webargs.flaskparser import FlaskParser

from trellis.api import Schema, Timestamp
from trellis.api.arguments import ArgumentsParser
from trellis.api.schemas import PageArguments
from trellis_schemas.input import body_decoder
from trellis_schemas.strict_json import strict_loads
from turns import first_of_group, measure, parser_of, report


class Measured(Schema):
    """Ten fields of the ordinary kinds."""

    id = fields.UUID(required=True)
    title = fields.String(required=True, validate=validate.Length(min=1, max=200))
    note = fields.String(allow_none=True)
    kind = fields.String(validate=validate.OneOf(["photo", "film"]))
    tags = fields.List(fields.String(validate=validate.Length(max=30)))
    size = fields.Integer(load_default=0, validate=validate.Range(min=0))
    ratio = fields.Float()
    public = fields.Boolean(load_default=False)
    taken_at = Timestamp(required=True)
    day = fields.Date()


class MeasuredItems(Schema):
    """Many of them."""

    items = fields.List(fields.Nested(Measured), required=True)


ONE = {
    "id": "0198c0de-7a00-7000-8000-000000000001",
    "title": "Harbour at dawn",
    "note": None,
    "kind": "photo",
    "tags": ["sea", "morning", "boats"],
    "size": 204_800,
    "ratio": 1.5,
    "public": True,
    "taken_at": "2026-01-31T06:12:00Z",
    "day": "2026-01-31",
}


def _body(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def prepare(app: Flask) -> dict[str, Callable[[], Any]]:
    """The ways, by name; what stands first in a group is what the others are compared with."""
    schema, many = Measured(), MeasuredItems()
    body, items = _body(ONE), _body({"items": [ONE] * 100})
    twice = body[:-1] + b',"size":1}'
    load, load_items = body_decoder(schema).load, body_decoder(many).load
    assert load(body) == schema.loads(body)
    assert load(twice) is None
    parts = inspect.getclosurevars(load).nonlocals
    decode, function, blanks = parts["decode"], parts["load"], b" \t\n\r"
    struct = decode(body)

    def guards() -> bool:
        return b"\\u0000" in body or body.translate(None, blanks).count(b'":') != len(ONE)

    parser = ArgumentsParser()
    app.test_request_context("/?cursor=WyIyMDI2LTAxLTMxIl0&limit=50").push()
    assert request.args["limit"] == "50"

    def page(parse: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: parse(parser, PageArguments, request, location="query")

    return {
        "body loads": lambda: schema.loads(body),
        "body strict": lambda: schema.load(strict_loads(body)),
        "body compiled": lambda: load(body),
        "body refused": lambda: load(twice),
        "body decode": lambda: decode(body),
        "body function": lambda: function(struct),
        "body guards": guards,
        "items loads": lambda: many.loads(items),
        "items strict": lambda: many.load(strict_loads(items)),
        "items compiled": lambda: load_items(items),
        "query webargs": page(FlaskParser.parse),
        "query compiled": page(ArgumentsParser.parse),
    }


if __name__ == "__main__":
    rounds = parser_of(__doc__, rounds=200).parse_args().rounds
    medians = measure(prepare(Flask("measured")), rounds, calls=10)
    report(medians, first_of_group(medians))
