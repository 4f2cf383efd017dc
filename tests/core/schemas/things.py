"""Schemas of the ordinary kind."""

from __future__ import annotations

from marshmallow import fields, validate

from trellis_schemas.schema import Schema, Timestamp


class PartSchema(Schema):
    name = fields.String(required=True)
    size = fields.Integer(load_default=1)


class ThingSchema(Schema):
    title = fields.String(required=True, validate=validate.Length(min=1, max=20))
    at = Timestamp(allow_none=True)
    owner = fields.UUID(data_key="ownerId")
    parts = fields.List(fields.Nested(PartSchema))
    data = fields.Raw()
