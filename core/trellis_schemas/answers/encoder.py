"""Answers as JSON, without marshmallow's walk and the standard library's encoder."""

from __future__ import annotations

from typing import Any

import marshmallow
import msgspec

from trellis_schemas.answers.obstacles import obstacle
from trellis_schemas.answers.structs import Builder, Choice
from trellis_schemas.strict_json import to_json

_write = msgspec.json.Encoder().encode


class Encoder:
    """Writes what a schema makes of an object, or of many when the schema says so.

    With a `choice` only those fields are written, unless there is an `obstacle` in the schema.
    """

    def __init__(self, schema: marshmallow.Schema, choice: Choice | None = None) -> None:
        self._schema = schema
        self._builder = None if obstacle(schema) else Builder(schema, choice)

    def encode(self, value: Any) -> bytes:
        """The same JSON as that of `schema.dump(value)`; raises what that would raise."""
        builder = self._builder
        if builder is None:
            return to_json(self._schema.dump(value))
        if self._schema.many and value is not None:
            return _write(builder.many(value))
        return _write(builder.one(value))
