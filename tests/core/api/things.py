"""Routes of every kind, for the tests of the document."""

from __future__ import annotations

from enum import Enum
from typing import Any

from flask.views import MethodView
from marshmallow import fields, validate

from trellis.api import Blueprint, Schema, Timestamp, blob_response
from trellis.errors import DomainError, NotFound
from trellis.paging import Page


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class PartSchema(Schema):
    name = fields.String(required=True, validate=validate.Length(min=6, max=8))
    parts = fields.List(fields.Nested(lambda: PartSchema()))  # noqa: PLW0108 - not there yet


class NameSchema(Schema):
    """Only a name."""

    name = fields.String(required=True)


class ThingSchema(Schema):
    """Something that is kept."""

    id = fields.UUID(dump_only=True)
    name = fields.String(required=True, metadata={"example": "Lamp"})
    password = fields.String(load_only=True)
    state = fields.String(validate=validate.OneOf(["new", "old"]))
    colour = fields.Enum(Colour, by_value=True)
    size = fields.Integer(validate=validate.Range(min=3))
    share = fields.Float()
    mail = fields.Email()
    made_at = Timestamp(allow_none=True)
    day = fields.Date()
    labels = fields.Dict(values=fields.String())
    part = fields.Nested(PartSchema)
    parts = fields.Nested(PartSchema, many=True)
    short = fields.Nested(PartSchema(only=["name"]))


class Broken(DomainError):
    """It fell from the shelf."""

    code = "things.broken"
    status = 404
    title = "The thing is broken"


def routes() -> Blueprint:
    things = Blueprint("things", __name__, description="All that is kept.")

    @things.route("/things")
    class Things(MethodView):
        @things.access(user=True)
        @things.paginated(ThingSchema)
        def get(self, cursor: str | None, limit: int) -> Any:
            """List things."""
            return Page([], None)

        @things.access(permission="things.write")
        @things.arguments(ThingSchema)
        @things.response(201, ThingSchema)
        def post(self, body: dict[str, Any]) -> Any:
            """Make a thing.

            It is new.
            """
            return body

    @things.get("/things/<uuid:thing_id>")
    @things.errors(NotFound)
    @things.errors(Broken)
    @things.access(public="a test")
    @things.response(200, ThingSchema, example={"name": "mine"})
    def show_thing(thing_id: Any) -> Any:
        """Show a thing."""
        return {}

    @things.put("/things/<uuid:thing_id>")
    @things.access(user=True)
    @things.body_limit(lambda: 77)
    @things.arguments(NameSchema)
    @things.response(204)
    def rename(body: dict[str, Any], thing_id: Any) -> None:
        """Rename a thing."""

    @things.get("/things/<uuid:thing_id>/content")
    @things.blob("image/*")
    @things.errors(NotFound)
    @things.access(user=True)
    def download(thing_id: Any) -> Any:
        """Download a thing."""
        return blob_response(lambda start, end: iter([b""]), size=0, etag="a", content_type="a/b")

    return things
