"""What the routes of auth take and return."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from trellis.api import Schema, Timestamp
from trellis_auth.models import (
    DEVICE_NAME_LENGTH,
    EMAIL_LENGTH,
    INSTALLATION_LENGTH,
    PLATFORMS,
    DeviceInfo,
)
from trellis_auth.settings import LONGEST_PASSWORD

_INSTALLATION_ID = rf"^[A-Za-z0-9][A-Za-z0-9._:-]{{0,{INSTALLATION_LENGTH - 1}}}\Z"


def _email() -> fields.String:
    # Judged by the service, after it is normalised.
    return fields.String(
        required=True,
        validate=validate.Length(min=3, max=EMAIL_LENGTH),
        metadata={"example": "ada@example.com", "format": "email"},
    )


def _password(description: str) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.Length(min=1, max=LONGEST_PASSWORD),
        load_only=True,
        metadata={
            "description": description,
            "example": "correct horse battery staple",
            "format": "password",
        },
    )


def _without_controls(value: str) -> None:
    if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in value):
        raise ValidationError("Contains control characters.")


class SignUpSchema(Schema):
    """A new account."""

    email = _email()
    password = _password("Any characters; how many, the installation sets (8 to 256 by default).")


class ResendSchema(Schema):
    """Whoever waits for a code."""

    email = _email()


class VerifySchema(Schema):
    """An address and the code that was sent to it."""

    email = _email()
    code = fields.String(
        required=True,
        validate=validate.Regexp(r"^[0-9]{6}\Z", error="Not a code of six digits."),
        metadata={"example": "123456"},
    )


class DeviceSchema(Schema):
    """The device that an app runs on."""

    installation_id = fields.String(
        required=True,
        validate=validate.Regexp(
            _INSTALLATION_ID,
            error=f"Not an id of 1 to {INSTALLATION_LENGTH} letters, digits and ._:-",
        ),
        metadata={
            "description": "Random, made by the app when it is installed and kept by it.",
            "example": "0198c0de-7a00-7000-8000-000000000007",
        },
    )
    name = fields.String(
        required=True,
        validate=[validate.Length(min=1, max=DEVICE_NAME_LENGTH), _without_controls],
        metadata={
            "description": "For people, in their list of sessions.",
            "example": "Ada's phone",
        },
    )
    platform = fields.String(required=True, validate=validate.OneOf(PLATFORMS))

    @post_load
    def _device(self, data: Mapping[str, Any], **_: Any) -> DeviceInfo:
        return DeviceInfo(**data)


class SignInSchema(Schema):
    """A password, and the device that signs in."""

    email = _email()
    password = _password("The account's password.")
    device = fields.Nested(DeviceSchema, required=True)


class RefreshSchema(Schema):
    """A refresh token."""

    refresh_token = fields.String(
        required=True,
        validate=validate.Length(min=1, max=200),
        load_only=True,
        metadata={"example": "rt1.AZjA3noA…"},
    )


class TokensSchema(Schema):
    """A pair of tokens."""

    access_token = fields.String(
        required=True,
        metadata={
            "description": "Send it as `Authorization: Bearer …`. RFC 9068.",
            "example": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIs…",
        },
    )
    refresh_token = fields.String(
        required=True,
        metadata={
            "description": "Opaque; good for one refresh, which brings the next one. Keep it in "
            "the phone's key store.",
            "example": "rt1.AZjA3noA…",
        },
    )
    token_type = fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = fields.Integer(
        required=True,
        metadata={"description": "Seconds until the access token expires.", "example": 900},
    )
    session_id = fields.UUID(required=True)


class SessionSchema(Schema):
    """A sign-in of a device."""

    id = fields.UUID(required=True)
    device = fields.Nested(DeviceSchema, required=True)
    client_id = fields.String(
        required=True,
        metadata={"description": "The app that signed in.", "example": "trellis-app"},
    )
    created_at = Timestamp(required=True)
    last_seen_at = Timestamp(required=True, metadata={"description": "When it was last refreshed."})
    current = fields.Boolean(
        required=True, metadata={"description": "Whether it is the one that asks."}
    )


class AccountSchema(Schema):
    """One's own account."""

    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    role = fields.String(required=True, validate=validate.OneOf(["user", "operator"]))
    created_at = Timestamp(required=True)


class CloseAccountSchema(Schema):
    """The password once more."""

    password = _password("The account's present password.")


class ErasureStartedSchema(Schema):
    """Where to ask how far the erasure is."""

    erasure_id = fields.UUID(
        required=True, metadata={"description": "For `/v1/erasures/{erasure_id}`."}
    )


class JwkSetSchema(Schema):
    """RFC 7517."""

    keys = fields.List(fields.Dict(), required=True)
