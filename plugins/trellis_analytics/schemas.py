"""What the routes of analytics take and return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from trellis.api import Schema, Timestamp
from trellis_analytics.models import ID_PATTERN, NAME_PATTERN, NewEvent, properties_fault
from trellis_analytics.settings import AnalyticsSettings

_REASON_LENGTH = 200


class EventSchema(Schema):
    """Something that the person did."""

    id = fields.String(
        required=True,
        validate=validate.Regexp(ID_PATTERN, error="Not an id of 1 to 64 letters, digits and _.:-"),
        metadata={
            "description": "Chosen by the app, such as a UUID; sent again it counts once.",
            "example": "0198c0de-7a00-7000-8000-000000000001",
        },
    )
    name = fields.String(
        required=True,
        validate=validate.Regexp(
            NAME_PATTERN,
            error="Not a name of up to 80 letters, digits, spaces and _.:- after a letter.",
        ),
        metadata={"example": "photo_shared"},
    )
    occurred_at = Timestamp(
        required=True,
        metadata={
            "description": "When, by the phone's clock. A time in the future counts as now, one of "
            "long ago as the earliest that is taken."
        },
    )
    properties = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={
            "description": "Whatever belongs to it, as JSON of limited size and depth.",
            "example": {"source": "camera"},
        },
    )

    @post_load
    def _new_event(self, data: Mapping[str, Any], **_: Any) -> NewEvent:
        fault = properties_fault(
            data["properties"], AnalyticsSettings.current().max_properties_bytes
        )
        if fault:
            raise ValidationError(fault, "properties")
        return NewEvent(**data)


class EventList(fields.List[Any]):
    """A list that takes its good items and says of each other one why not.

    Loads into two lists: the events, and the rejections as ``{"index": …, "reason": …}``.
    """

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        most = AnalyticsSettings.current().max_batch_events
        # Before anything is looked at: a body can hold far more items than are worth a look.
        if not 1 <= len(value) <= most:
            raise ValidationError(f"Send 1 to {most} events.")
        events: list[NewEvent] = []
        rejected: list[dict[str, Any]] = []
        for index, item in enumerate(value):
            try:
                events.append(self.inner.deserialize(item))
            except ValidationError as error:
                reason = "; ".join(_sentences(error.messages))
                rejected.append({"index": index, "reason": reason[:_REASON_LENGTH]})
        return events, rejected


def _sentences(messages: Any, where: str = "") -> Iterator[str]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _sentences(inner, where if key == "_schema" else f"{where}/{key}")
    else:
        for message in messages:
            yield f"{where}: {message}" if where else str(message)


class BatchSchema(Schema):
    """Events of one person."""

    events = EventList(fields.Nested(EventSchema), required=True)


class RejectionSchema(Schema):
    """An event that was not taken; to send it again as it is will not help."""

    index = fields.Integer(
        required=True, metadata={"description": "Its place in the batch, from 0."}
    )
    reason = fields.String(required=True, metadata={"example": "/name: Missing data."})


class ReceiptSchema(Schema):
    """What became of a batch. What was accepted is stored for good."""

    accepted = fields.Integer(required=True)
    duplicates = fields.Integer(
        required=True, metadata={"description": "Events that were there already."}
    )
    rejected = fields.List(fields.Nested(RejectionSchema), required=True)


class RangeArguments(Schema):
    """The days that a report covers, both included."""

    since = fields.Date(
        data_key="from", required=True, metadata={"description": "First day, in UTC."}
    )
    until = fields.Date(data_key="to", required=True, metadata={"description": "Last day, in UTC."})

    @validates_schema
    def _is_a_range(self, data: Mapping[str, Any], **_: Any) -> None:
        most = AnalyticsSettings.current().max_report_days
        if data["until"] < data["since"]:
            raise ValidationError("The last day is before the first.", "to")
        if data["until"] - data["since"] >= timedelta(days=most):
            raise ValidationError(f"A report covers at most {most} days.", "to")


class ActiveUsersDaySchema(Schema):
    """How many different people sent an event of that day."""

    day = fields.Date(required=True)
    users = fields.Integer(required=True)


class ActiveUsersSchema(Schema):
    """One item for each day of the range."""

    days = fields.List(fields.Nested(ActiveUsersDaySchema), required=True)


class EventCountSchema(Schema):
    """How often something was done."""

    name = fields.String(required=True, metadata={"example": "photo_shared"})
    count = fields.Integer(required=True)


class EventCountsDaySchema(Schema):
    """What was done on a day, the most frequent first."""

    day = fields.Date(required=True)
    total = fields.Integer(
        required=True, metadata={"description": "Of all names, also of those that are not shown."}
    )
    events = fields.List(fields.Nested(EventCountSchema), required=True)


class EventCountsSchema(Schema):
    """One item for each day of the range."""

    days = fields.List(fields.Nested(EventCountsDaySchema), required=True)
