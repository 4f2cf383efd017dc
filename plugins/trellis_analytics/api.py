"""The routes of analytics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from trellis.api import Blueprint, current_principal
from trellis_analytics import services
from trellis_analytics.models import NewEvent
from trellis_analytics.schemas import (
    ActiveUsersSchema,
    BatchSchema,
    EventCountsSchema,
    RangeArguments,
    ReceiptSchema,
)
from trellis_analytics.settings import AnalyticsSettings

blueprint = Blueprint("analytics", __name__, description="What people do in the app, counted.")


@blueprint.route("/events", methods=["POST"])
@blueprint.access(user=True)
@blueprint.body_limit(lambda: AnalyticsSettings.current().max_batch_bytes)
@blueprint.arguments(BatchSchema, as_kwargs=True)
@blueprint.response(202, ReceiptSchema)
def track(events: tuple[Sequence[NewEvent], Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Record a batch of events.

    Good events are stored for good when the answer comes, also beside bad ones. To send a batch
    again is safe: each id counts once.
    """
    good, rejected = events
    receipt = services.record_batch(current_principal(), good)
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": rejected,
    }


@blueprint.route("/reports/daily-active-users")
@blueprint.access(permission="analytics.read")
@blueprint.arguments(RangeArguments, location="query", as_kwargs=True)
@blueprint.response(200, ActiveUsersSchema)
def daily_active_users(since: date, until: date) -> dict[str, Any]:
    """Count the people who did something, by day."""
    return {"days": services.daily_active_users(since, until)}


@blueprint.route("/reports/event-counts")
@blueprint.access(permission="analytics.read")
@blueprint.arguments(RangeArguments, location="query", as_kwargs=True)
@blueprint.response(200, EventCountsSchema)
def event_counts(since: date, until: date) -> dict[str, Any]:
    """Count what was done, by day and name."""
    return {"days": services.event_counts(since, until)}
