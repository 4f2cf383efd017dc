"""Reading the feed by position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import Row

from trellis.db.reads import fetch_all, fetch_one, fetch_value
from trellis.feed.models import FeedEntry, FeedHead

_ENTRIES = select(
    FeedEntry.position,
    FeedEntry.event_id,
    FeedEntry.type,
    FeedEntry.audience,
    FeedEntry.subject,
    FeedEntry.resource,
    FeedEntry.resource_id,
    FeedEntry.operation,
    FeedEntry.payload,
    FeedEntry.created_at,
).order_by(FeedEntry.position)


def entries_after(
    position: int, audiences: Collection[str], limit: int = 500
) -> Sequence[Row[Any]]:
    """Entries above ``position`` that one of the audiences may see, in order."""
    return fetch_all(
        _ENTRIES.where(FeedEntry.position > position, FeedEntry.audience.in_(audiences)).limit(
            limit
        )
    )


def entries_between(low: int, high: int) -> Sequence[Row[Any]]:
    """All entries above ``low`` and up to ``high``, whoever may see them, in order.

    Positions have no gaps, so there are at most ``high - low``; fewer when some were erased.
    """
    return fetch_all(_ENTRIES.where(FeedEntry.position > low, FeedEntry.position <= high))


def head() -> int:
    """The newest position that was given."""
    return int(fetch_value(select(FeedHead.position)) or 0)


def event(event_id: UUID) -> Row[Any] | None:
    """Type, payload and time of one event (columns event_id, type, payload, created_at)."""
    return fetch_one(
        select(FeedEntry.event_id, FeedEntry.type, FeedEntry.payload, FeedEntry.created_at).where(
            FeedEntry.event_id == event_id
        )
    )
