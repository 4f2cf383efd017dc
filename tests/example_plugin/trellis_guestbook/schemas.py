"""What goes in and out."""

from __future__ import annotations

from marshmallow import fields, validate
from trellis.api import Schema, Timestamp


class NewEntrySchema(Schema):
    """What somebody wants to write."""

    text = fields.String(
        required=True,
        validate=validate.Length(min=1),
        metadata={"example": "What a fine collection of dandelions!"},
    )


class EntrySchema(Schema):
    """An entry of the guestbook."""

    id = fields.UUID(required=True)
    text = fields.String(required=True)
    photo_id = fields.UUID(
        required=True, allow_none=True, metadata={"description": "Set when a photo was entered."}
    )
    written_at = Timestamp(required=True)
