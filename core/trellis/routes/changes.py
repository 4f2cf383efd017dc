"""The operation ``GET /v1/changes``: the feed for apps that ask now and then."""

from __future__ import annotations

from marshmallow import fields, validate

from trellis.api import Blueprint, Schema, Timestamp, current_principal
from trellis.errors import ResyncRequired
from trellis.feed.audience import audiences_of
from trellis.feed.reader import MOST, Changes, changes, head
from trellis.feed.sequencer import sequence
from trellis.runtime import runtime

blueprint = Blueprint("core", __name__, mount="/v1/changes", description="Streams and erasures.")


class ChangesArgumentsSchema(Schema):
    """From where, and how many."""

    cursor = fields.String(
        load_default=None,
        validate=validate.Regexp(r"^[0-9]{1,18}\Z", error="Not a cursor of this feed."),
        metadata={"description": "From the answer before, or the `id` of a stream's last event."},
    )
    limit = fields.Integer(
        load_default=100,
        validate=validate.Range(1, MOST),
        metadata={"description": "How many changes the answer has at most."},
    )


class ChangeSchema(Schema):
    """One change, as the stream tells it."""

    id = fields.UUID(required=True, attribute="event_id")
    type = fields.String(
        required=True,
        metadata={
            "description": "What happened, with a version.",
            "example": "media.asset_ready/1",
        },
    )
    resource = fields.String(
        required=True, metadata={"description": "The kind of thing.", "example": "asset"}
    )
    resource_id = fields.String(
        required=True, metadata={"example": "0198c0de-7a00-7000-8000-000000000001"}
    )
    operation = fields.String(
        required=True,
        validate=validate.OneOf(["created", "updated", "deleted"]),
        metadata={"description": "What became of the thing."},
    )
    payload = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={
            "description": "Ids and plain values; which ones, the type says.",
            "example": {},
        },
    )
    created_at = Timestamp(required=True)


class ChangesSchema(Schema):
    """What has changed, in order."""

    items = fields.List(fields.Nested(ChangeSchema), required=True, attribute="entries")
    cursor = fields.String(
        required=True, metadata={"description": "Ask with it for what comes after."}
    )
    more = fields.Boolean(
        required=True, metadata={"description": "Whether there is more already: ask at once."}
    )


@blueprint.route("")
@blueprint.access(user=True)
@blueprint.errors(ResyncRequired)
@blueprint.arguments(ChangesArgumentsSchema, location="query", as_kwargs=True)
@blueprint.response(200, ChangesSchema)
def list_changes(*, cursor: str | None, limit: int) -> Changes:
    """List what has changed since a cursor.

    Without a cursor nothing is listed: the answer's cursor stands for now. Ask for it first, then
    fetch what the app shows, then ask for changes. 410 means that changes after the cursor are
    gone: fetch everything again and go on with the cursor of that answer.
    """
    if sequence():  # so that callers find what they have just done themselves
        runtime().announcer.announce((), feed=True)
    if cursor is None:
        return Changes([], head(), more=False)
    return changes(int(cursor), audiences_of(current_principal()), limit)
