"""What goes in and out of the routes."""

from __future__ import annotations

from marshmallow import fields, validate

from trellis.api import Schema, Timestamp
from trellis_webhooks.models import MAX_DESCRIPTION, MAX_URL, STATES

_PATTERN = r"(\*|[a-z][a-z0-9]{1,30}\.(\*|[a-z][a-z0-9_]{0,80}(/[1-9][0-9]{0,4})?))\Z"
_LONGEST_OVERLAP_HOURS = 7 * 24


class NewEndpointSchema(Schema):
    """An endpoint to be made."""

    url = fields.String(
        required=True,
        validate=validate.Length(min=1, max=MAX_URL),
        metadata={
            "description": "https:// and a public host; events are sent here by POST.",
            "example": "https://hooks.example.com/trellis",
        },
    )
    events = fields.List(
        fields.String(validate=validate.Regexp(_PATTERN, error="Not an event type or pattern.")),
        required=True,
        validate=validate.Length(min=1, max=50),
        metadata={
            "description": "Which events: `*`, all of a plugin (`media.*`), one in every version "
            "(`media.asset_ready`) or in one (`media.asset_ready/1`).",
            "example": ["media.*"],
        },
    )
    description = fields.String(
        load_default="",
        validate=[
            validate.Length(max=MAX_DESCRIPTION),
            validate.Regexp(r"[^\x00-\x1f\x7f]*\Z", error="One line of text."),
        ],
        metadata={"description": "For people.", "example": "Warehouse"},
    )
    enabled = fields.Boolean(load_default=True)


class _SecretsSchema(Schema):
    """Which secrets sign."""

    signing_secrets = fields.Integer(
        required=True,
        metadata={"description": "How many sign: the present one, and those before.", "example": 1},
    )
    previous_until = Timestamp(
        required=True,
        allow_none=True,
        metadata={"description": "When the last of the secrets before the present one ends."},
    )


class EndpointSchema(_SecretsSchema):
    """An address that is told what happens."""

    id = fields.UUID(required=True)
    url = fields.String(required=True, metadata={"example": "https://hooks.example.com/trellis"})
    description = fields.String(required=True, metadata={"example": "Warehouse"})
    events = fields.List(fields.String(), required=True, metadata={"example": ["media.*"]})
    unmatched = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Those of `events` that mean nothing which an installed plugin tells.",
            "example": [],
        },
    )
    enabled = fields.Boolean(required=True)
    disabled_reason = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "`operator`, `gone` (it answered 410), `failing` (for too long) or "
            "`overrun` (too much waits for it).",
            "example": None,
        },
    )
    failing_since = Timestamp(
        required=True,
        allow_none=True,
        metadata={"description": "When the first of its failures without a success was."},
    )
    created_at = Timestamp(required=True)


class NewSecretSchema(Schema):
    """A secret, which is shown this once."""

    secret = fields.String(
        required=True,
        metadata={
            "description": "Verifies signatures; cannot be shown again.",
            "example": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
        },
    )


class CreatedEndpointSchema(EndpointSchema, NewSecretSchema):
    """An endpoint with its secret."""


class RotationSchema(Schema):
    """How long the old secret lives on."""

    overlap_hours = fields.Integer(
        load_default=24,
        strict=True,
        validate=validate.Range(min=0, max=_LONGEST_OVERLAP_HOURS),
        metadata={
            "description": "For so long the old secret signs, too. 0 when somebody else knows it: "
            "all before end at once."
        },
    )


class RotatedSecretSchema(NewSecretSchema, _SecretsSchema):
    """The new secret, and how long those before it sign, too."""


class DeliveryFilterSchema(Schema):
    """Which deliveries."""

    endpoint_id = fields.UUID(
        load_default=None, metadata={"description": "Only what went to this endpoint."}
    )
    state = fields.String(
        load_default=None,
        validate=validate.OneOf(STATES),
        metadata={"description": "Only deliveries in this state."},
    )


class DeliverySchema(Schema):
    """One event for one endpoint."""

    id = fields.UUID(required=True)
    endpoint_id = fields.UUID(required=True)
    event_id = fields.UUID(
        required=True, metadata={"description": "The `webhook-id` of every attempt."}
    )
    type = fields.String(required=True, metadata={"example": "media.asset_ready/1"})
    state = fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={"description": "`failed` is given up; it can be sent again."},
    )
    attempts = fields.Integer(required=True, metadata={"example": 1})
    last_status = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Of the latest attempt; null without an answer.", "example": 204},
    )
    last_error = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why the latest attempt brought no answer.", "example": None},
    )
    last_duration_ms = fields.Integer(required=True, allow_none=True, metadata={"example": 87})
    next_attempt_at = Timestamp(
        required=True,
        allow_none=True,
        metadata={"description": "Not before; an endpoint that fails is left alone for longer."},
    )
    created_at = Timestamp(required=True)
    finished_at = Timestamp(required=True, allow_none=True)


class AttemptSchema(Schema):
    """One request."""

    at = Timestamp(required=True)
    status = fields.Integer(required=True, allow_none=True, metadata={"example": 204})
    error = fields.String(required=True, allow_none=True, metadata={"example": None})
    duration_ms = fields.Integer(required=True, metadata={"example": 87})


class DeliveryDetailSchema(DeliverySchema):
    """A delivery with what it tells, and every attempt."""

    occurred_at = Timestamp(required=True)
    data = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={"example": {"asset_id": "0198c0de-7a00-7000-8000-000000000001"}},
    )
    attempts_made = fields.List(fields.Nested(AttemptSchema), required=True)
