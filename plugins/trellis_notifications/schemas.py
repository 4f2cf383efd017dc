"""What goes in and out of the routes."""

from __future__ import annotations

from marshmallow import fields, validate

from trellis.api import Schema, Timestamp

_VISIBLE = r"^[!-~]*\Z"
_IN_A_PATH = r"^[!-.0-~]*\Z"


class MessageSchema(Schema):
    """A message in the caller's inbox."""

    id = fields.UUID(required=True)
    kind = fields.String(
        required=True,
        metadata={"description": "What it is about, for the app.", "example": "media.photo_ready"},
    )
    title = fields.String(required=True, metadata={"example": "Your photo is ready"})
    body = fields.String(required=True, metadata={"example": "Tap to look at it."})
    data = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={
            "description": "Ids and plain values for the app; which ones depends on the kind.",
            "example": {"asset_id": "0198c0de-7a00-7000-8000-000000000001"},
        },
    )
    created_at = Timestamp(required=True)
    read_at = Timestamp(
        required=True, allow_none=True, metadata={"description": "Null while it is unread."}
    )


class MessageFilterSchema(Schema):
    """Which messages of the inbox."""

    unread = fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Only messages that have not been read."},
    )


class UnreadCountSchema(Schema):
    """What an app shows as a badge."""

    unread = fields.Integer(required=True, metadata={"description": "Unread messages."})


class InstallationSchema(Schema):
    """Which installation of the app."""

    installation_id = fields.String(
        required=True,
        validate=[
            validate.Length(min=1, max=100),
            validate.Regexp(_IN_A_PATH, error="Visible ASCII characters, and no slash."),
        ],
        metadata={
            "description": "The id under which the installation signed in, in ASCII.",
            "example": "7f3c2a90-1f7e-4b52-9a55-0c8f2f6f4f7d",
        },
    )


class DeviceRegistrationSchema(Schema):
    """How pushes reach an installation."""

    platform = fields.String(
        required=True,
        validate=validate.OneOf(["ios", "android", "web"]),
        metadata={"description": "Whose push service the token belongs to."},
    )
    push_token = fields.String(
        required=True,
        validate=[
            validate.Length(min=1, max=2000),
            validate.Regexp(_VISIBLE, error="Visible ASCII characters."),
        ],
        metadata={
            "description": "What the push service of the platform gave the app.",
            "example": "740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bb78ad",
        },
    )


class DeviceSchema(Schema):
    """An installation of the app that gets the caller's pushes."""

    installation_id = fields.String(
        required=True, metadata={"example": "7f3c2a90-1f7e-4b52-9a55-0c8f2f6f4f7d"}
    )
    platform = fields.String(required=True, metadata={"example": "ios"})
    registered_at = Timestamp(required=True)
