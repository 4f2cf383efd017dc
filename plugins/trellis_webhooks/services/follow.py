"""From the feed to deliveries: one for each endpoint that wants to hear of an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select, update

from trellis.db import Found, database_now, fetch_value, insert_into, new_id
from trellis.feed import entries_between, head
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_webhooks.models import WAITING, Cursor, Delivery, Endpoint
from trellis_webhooks.services.turns import disable, take_turn
from trellis_webhooks.settings import WebhooksSettings

_AT_ONCE = 200


def follow() -> None:
    """Read on in the feed, a bounded step; the rest is left to another run.

    The row of the cursor is the lock: of two runs at once the second one finds nothing left.
    """
    with unit_of_work() as uow:
        position = uow.session.execute(select(Cursor.position).with_for_update()).scalar_one()
        # Before the endpoints: what an endpoint was made too late to hear of lies above.
        newest = head()
        if position >= newest:
            return
        endpoints = uow.session.scalars(
            select(Endpoint)
            .where(Endpoint.enabled)
            .order_by(Endpoint.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        ).all()
        start = max(position, min((endpoint.after for endpoint in endpoints), default=newest))
        found = entries_between(start, newest, _AT_ONCE)
        _deliver(uow, endpoints, found.entries)
        uow.session.execute(update(Cursor).values(position=found.cursor))
        if found.more:
            uow.enqueue("webhooks.follow")


def wants(patterns: Iterable[str], event_type: str) -> bool:
    """Whether an event type (``media.asset_ready/1``) is meant by one of the patterns.

    ``*`` means all, ``media.*`` those of a plugin, ``media.asset_ready`` one in every version.
    """
    name = event_type.partition("/")[0]
    meant = {"*", event_type, name, name.partition(".")[0] + ".*"}
    return any(pattern in meant for pattern in patterns)


def _deliver(uow: UnitOfWork, endpoints: Sequence[Endpoint], entries: Sequence[Found]) -> None:
    for endpoint in endpoints:
        rows = [
            _row(endpoint, entry)
            for entry in entries
            if entry.position > endpoint.after and wants(endpoint.events, entry.type)
        ]
        if rows:
            uow.session.execute(
                insert_into(uow.session, Delivery)
                .values(created_at=database_now(), next_attempt_at=database_now())
                .on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"]),
                rows,
            )
            if _waiting(endpoint) > WebhooksSettings.current().max_waiting:
                disable(uow, endpoint, "overrun")
            else:
                take_turn(uow, endpoint)


def _waiting(endpoint: Endpoint) -> int:
    return int(
        fetch_value(
            select(func.count()).where(
                Delivery.endpoint_id == endpoint.id, Delivery.state == WAITING
            )
        )
    )


def _row(endpoint: Endpoint, entry: Found) -> dict[str, Any]:
    return {
        "id": new_id(),
        "endpoint_id": endpoint.id,
        "event_id": entry.event_id,
        "type": entry.type,
        "data": entry.payload,
        "subject": entry.subject,
        "occurred_at": entry.created_at,
        "state": WAITING,
        "attempts": 0,
        "tries": 0,
    }
