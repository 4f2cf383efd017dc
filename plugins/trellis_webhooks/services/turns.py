"""Whose turn is next: an endpoint has one turn at a time, each its own task, to make attempts.

So an endpoint holds one worker at most, and between two of its turns others have theirs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update

from trellis.contracts import Messenger, port_or_none
from trellis.db import database_now, fetch_all, fetch_value
from trellis.observe import audit
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_webhooks.events import EndpointDisabled
from trellis_webhooks.models import WAITING, Delivery, Endpoint

_LOST_SECONDS = 300.0
"""A turn that is overdue for so long has lost its task."""

# Clocks tell the times of one moment apart by this much at most.
_TOLERANCE = timedelta(seconds=1)


def locked(uow: UnitOfWork, endpoint_id: UUID) -> Endpoint | None:
    """The endpoint, locked until the unit ends: whoever changes its turns holds it."""
    return uow.session.scalars(
        select(Endpoint)
        .where(Endpoint.id == endpoint_id)
        # Beside the locks that deliveries take on it, by which it only must not go.
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()


def take_turn(uow: UnitOfWork, endpoint: Endpoint) -> None:
    """Have the next attempt made when it is due, unless a task is to make it by then already."""
    uow.session.flush()
    now = note_time(uow, endpoint)
    due = fetch_value(
        select(func.min(Delivery.next_attempt_at)).where(
            Delivery.endpoint_id == endpoint.id, Delivery.state == WAITING
        )
    )
    if due is None or not endpoint.enabled:
        endpoint.turn_at = None
        return
    at = max(due, endpoint.closed_until or due, now)
    if endpoint.turn_at is not None and endpoint.turn_at <= at:
        return
    endpoint.turn += 1
    endpoint.turn_at = at
    uow.enqueue(
        "webhooks.attempt",
        delay=(at - now).total_seconds(),
        endpoint_id=str(endpoint.id),
        turn=endpoint.turn,
    )


def note_time(uow: UnitOfWork, endpoint: Endpoint, passed: datetime | None = None) -> datetime:
    """The database's time; when its clock was set back, what waits is due that much earlier.

    That is known by the time that was seen last, or by one that has come already (``passed``).
    """
    now: datetime = fetch_value(select(database_now()))
    back = max(filter(None, (endpoint.seen_at, passed)), default=now) - now
    if back > _TOLERANCE:
        ahead = fetch_all(
            select(Delivery.id, Delivery.next_attempt_at).where(
                Delivery.endpoint_id == endpoint.id,
                Delivery.state == WAITING,
                Delivery.next_attempt_at > now,
            )
        )
        if ahead:
            moved = [{"id": row.id, "next_attempt_at": row.next_attempt_at - back} for row in ahead]
            uow.session.execute(update(Delivery), moved)
        for name in ("turn_at", "closed_until"):
            if (moment := getattr(endpoint, name)) is not None:
                setattr(endpoint, name, moment - back)
    endpoint.seen_at = now
    return now


def reopen(uow: UnitOfWork, endpoint: Endpoint) -> None:
    """Make the next attempt without waiting for an endpoint that has failed."""
    endpoint.failures = 0
    endpoint.failing_since = endpoint.closed_until = None
    take_turn(uow, endpoint)


def disable(uow: UnitOfWork, endpoint: Endpoint, reason: str) -> None:
    """Send nothing more, and tell of it: in the audit trail, the feed, and to its owner."""
    endpoint.enabled = False
    endpoint.disabled_reason = reason
    endpoint.turn_at = None
    audit.record(uow, "webhooks.endpoint_disabled", endpoint_id=str(endpoint.id), reason=reason)
    uow.publish(EndpointDisabled(endpoint.id, reason))
    messenger = port_or_none(Messenger)
    if messenger is not None and endpoint.owner_id is not None:
        messenger.send(
            endpoint.owner_id,
            "webhooks.endpoint_disabled",
            "A webhook endpoint was disabled",
            _REASONS[reason],
            {"endpoint_id": str(endpoint.id), "reason": reason},
        )


_REASONS = {
    "gone": "It answered 410 Gone. Enable it again when it takes events.",
    "failing": "It has failed for too long. Enable it again when it takes events.",
    "overrun": "It takes events more slowly than they happen, and too many wait for it.",
}


def resume() -> None:
    """Take the turns whose tasks were lost, for instance given up while the database was away."""
    overdue = select(Endpoint.id).where(
        Endpoint.enabled, Endpoint.turn_at < database_now(-_LOST_SECONDS)
    )
    for row in fetch_all(overdue.order_by(Endpoint.id)):
        with unit_of_work() as uow:
            endpoint = locked(uow, row.id)
            if endpoint is not None:
                endpoint.turn_at = None
                take_turn(uow, endpoint)
