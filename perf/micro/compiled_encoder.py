"""What writing an answer costs by compiled code against marshmallow.

    python perf/micro/compiled_encoder.py                  # half a minute
    python perf/micro/compiled_encoder.py --rounds 1000

All ways run by turns in this process, ten calls each, in an order that is new each time: twenty
items of ten fields as mappings, as objects and as rows of a database, and one such row. `dumps` is
`schema.dump` with the JSON of the standard library, as flask-smorest does it; `build` makes the
structs that msgspec then writes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from marshmallow import fields
from sqlalchemy import Row
from sqlalchemy.engine.result import SimpleResultMetaData

from trellis.api import Schema, Timestamp
from trellis_schemas.answers import Encoder
from trellis_schemas.answers.structs import Builder
from trellis_schemas.strict_json import plain
from turns import first_of_group, measure, parser_of, report


class Measured(Schema):
    """Ten fields of the ordinary kinds."""

    id = fields.UUID()
    owner_id = fields.UUID()
    title = fields.String()
    note = fields.String()
    size = fields.Integer()
    ratio = fields.Float()
    public = fields.Boolean()
    tags = fields.List(fields.String())
    created_at = Timestamp()
    day = fields.Date()


_MANY = 20
_MOMENT = dt.datetime(2026, 1, 31, 6, 12, 0, 123456, tzinfo=dt.UTC)
ONE = {
    "id": UUID("0198c0de-7a00-7000-8000-000000000001"),
    "owner_id": UUID("0198c0de-7a00-7000-8000-000000000002"),
    "title": "Harbour at dawn",
    "note": None,
    "size": 204_800,
    "ratio": 1.5,
    "public": True,
    "tags": ["sea", "morning", "boats"],
    "created_at": _MOMENT,
    "day": _MOMENT.date(),
}
_METADATA = SimpleResultMetaData(list(ONE))
ROW: Row[Any] = Row(_METADATA, None, _METADATA._key_to_index, tuple(ONE.values()))


def prepare() -> dict[str, Callable[[], Any]]:
    """The ways, by name; what stands first in a group is what the others are compared with."""
    one, many = Measured(), Measured(many=True)
    ways: dict[str, Callable[[], Any]] = {}
    for kind, value in (("maps", ONE), ("objects", SimpleNamespace(**ONE)), ("rows", ROW)):
        ways |= _ways(kind, many, [value] * _MANY)
    build, rows = Builder(many).many, [ROW] * _MANY
    ways["rows build"] = lambda: build(rows)
    return ways | _ways("row", one, ROW)


def _ways(kind: str, schema: Schema, value: Any) -> dict[str, Callable[[], Any]]:
    def dumps() -> str:
        return json.dumps(schema.dump(value), default=plain)

    encode = Encoder(schema).encode
    assert json.loads(encode(value)) == json.loads(dumps())
    return {f"{kind} dumps": dumps, f"{kind} compiled": lambda: encode(value)}


if __name__ == "__main__":
    rounds = parser_of(__doc__, rounds=200).parse_args().rounds
    medians = measure(prepare(), rounds, calls=10)
    report(medians, first_of_group(medians))
