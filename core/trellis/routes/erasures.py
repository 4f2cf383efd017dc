"""How far an erasure is: the only thing that an erased person can still ask."""

from __future__ import annotations

from uuid import UUID

from marshmallow import fields

from trellis.api import Blueprint, Schema, Timestamp
from trellis.errors import NotFound
from trellis.privacy import erasure

blueprint = Blueprint("core", __name__, mount="/v1/erasures", description="Streams and erasures.")


class ErasurePartSchema(Schema):
    """One plugin's part of an erasure."""

    plugin = fields.String(required=True)
    completed_at = Timestamp(required=True, allow_none=True)


class ErasureSchema(Schema):
    """State of an erasure; it names nobody."""

    id = fields.UUID(required=True)
    requested_at = Timestamp(required=True)
    completed_at = Timestamp(required=True, allow_none=True)
    parts = fields.List(fields.Nested(ErasurePartSchema), required=True)


@blueprint.route("/<uuid:erasure_id>")
@blueprint.access(public="the id cannot be guessed, and whoever left has no account to ask with")
@blueprint.errors(NotFound)
@blueprint.response(200, ErasureSchema)
def get_erasure(erasure_id: UUID) -> erasure.ErasureState:
    """Tell how far an erasure is.

    It is complete when every plugin has proved that it holds nothing of the person any more.
    """
    return erasure.state(erasure_id)
