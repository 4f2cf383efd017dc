"""The schemas of the house."""

from __future__ import annotations

from typing import get_args

from marshmallow import INCLUDE, fields, validate

from trellis.errors import Location
from trellis_schemas.schema import Schema


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
