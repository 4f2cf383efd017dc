"""What goes in and out of the routes."""

from __future__ import annotations

from typing import Any

from flask_smorest.fields import Upload
from marshmallow import fields, validate

from trellis.api import Schema
from trellis_media.models import VISIBILITIES


class UploadSchema(Schema):
    """A file, as ``multipart/form-data``."""

    file = Upload(
        required=True,
        metadata={
            "description": "A JPEG, PNG, WebP or GIF picture. Its content decides, not its name."
        },
    )


def _visibility(**options: Any) -> fields.String:
    return fields.String(
        validate=validate.OneOf(VISIBILITIES),
        metadata={
            "description": "`public` addresses need no sign-in, and may be kept by a CDN.",
            "example": "private",
        },
        **options,
    )


class PlacementSchema(Schema):
    """How a new picture is kept."""

    visibility = _visibility(load_default="private")


class ChangedAssetSchema(Schema):
    """What can be changed of a picture."""

    visibility = _visibility(required=True)


class RenditionSchema(Schema):
    """A smaller form of the picture: upright, in sRGB, without metadata."""

    name = fields.String(
        required=True, metadata={"description": "`small` or `large`.", "example": "small"}
    )
    content_type = fields.String(required=True, metadata={"example": "image/webp"})
    width = fields.Integer(required=True, metadata={"example": 320})
    height = fields.Integer(required=True, metadata={"example": 240})
    size = fields.Integer(required=True, metadata={"description": "In bytes.", "example": 9600})
    url = fields.Url(
        required=True,
        metadata={
            "example": "https://api.example.com/v1/media/assets/"
            "0198c0de-7a00-7000-8000-000000000001/renditions/small"
        },
    )


class AssetSchema(Schema):
    """An uploaded picture."""

    id = fields.UUID(required=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(["processing", "ready", "failed"]),
        metadata={
            "description": "`ready` when the renditions are made; why it `failed`, `failure` says.",
            "example": "ready",
        },
    )
    failure = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["broken", "too_large", "too_slow", "given_up"]),
        metadata={"description": "Why the state is `failed`.", "example": None},
    )
    content_type = fields.String(
        required=True, metadata={"description": "Decided by content.", "example": "image/jpeg"}
    )
    filename = fields.String(
        required=True,
        metadata={"description": "As the app called it.", "example": "dandelions.jpg"},
    )
    visibility = _visibility(required=True)
    size = fields.Integer(
        required=True, metadata={"description": "Of the original, in bytes.", "example": 235941}
    )
    width = fields.Integer(
        required=True, metadata={"description": "As shown, once it is ready.", "example": 2000}
    )
    height = fields.Integer(required=True, metadata={"example": 1500})
    thumbhash = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Placeholder to show while a picture loads (ThumbHash, base64).",
            "example": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A",
        },
    )
    created_at = fields.String(
        required=True, metadata={"format": "date-time", "example": "2026-01-31T12:00:00Z"}
    )
    url = fields.Url(
        required=True,
        metadata={
            "description": "The original.",
            "example": "https://api.example.com/v1/media/assets/"
            "0198c0de-7a00-7000-8000-000000000001/content",
        },
    )
    renditions = fields.List(
        fields.Nested(RenditionSchema),
        required=True,
        metadata={"description": "None until it is ready."},
    )
