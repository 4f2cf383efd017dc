"""The base of every schema, and the schemas of the house."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from marshmallow import INCLUDE, RAISE, fields, validate
from marshmallow import Schema as MarshmallowSchema
from sqlalchemy import Row

from trellis.api.strict_json import utc_text
from trellis.errors import Location


class Schema(MarshmallowSchema):
    """Base of the schemas of plugins: refuses unknown fields, dumps rows by column name."""

    class Meta:
        unknown = RAISE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read a value; of a row as of a mapping, as `row.count` is a method of tuples."""
        return super().get_attribute(obj._mapping if isinstance(obj, Row) else obj, attr, default)


class Timestamp(fields.AwareDateTime):
    """A moment: RFC 3339 with an offset in, UTC ending in `Z` out."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else utc_text(value)


class PageArguments(Schema):
    """Which page of a list."""

    cursor = fields.String(
        metadata={"description": "`next_cursor` of the page before; absent for the first page."},
        validate=validate.Length(max=1000),
        load_default=None,
    )
    limit = fields.Integer(
        metadata={"description": "Most items to return."},
        validate=validate.Range(min=1, max=100),
        load_default=20,
    )


class FieldErrorSchema(Schema):
    """One fault of the input."""

    location = fields.String(required=True, validate=validate.OneOf(get_args(Location)))
    pointer = fields.String(
        required=True,
        metadata={
            "description": "JSON pointer to the value; empty for the whole.",
            "example": "/email",
        },
    )
    detail = fields.String(required=True, metadata={"example": "Not a valid email address."})


class ProblemSchema(Schema):
    """RFC 9457. Some problems have further members; they are described with the error code."""

    class Meta:
        unknown = INCLUDE

    type = fields.String(
        required=True,
        metadata={"format": "uri-reference", "description": "Opens the description of the error."},
    )
    title = fields.String(required=True, metadata={"description": "The same for each occurrence."})
    status = fields.Integer(required=True, metadata={"description": "The HTTP status."})
    code = fields.String(required=True, metadata={"description": "Stable; for programs."})
    detail = fields.String(metadata={"description": "What happened this time; for people."})
    request_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Leads to the cause in the log of the server."},
    )
    errors = fields.List(
        fields.Nested(FieldErrorSchema),
        metadata={"description": "With `core.invalid_input`: the faults, at most 100."},
    )
