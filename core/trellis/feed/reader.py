"""Reading the feed by position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.engine import Row

from trellis.db.reads import fetch_all, fetch_one, fetch_value
from trellis.errors import ResyncRequired
from trellis.feed.models import TAGS_OUTDATED, FeedEntry, FeedHead
from trellis.runtime import runtime
from trellis_statements.compiled import Compiled

log = structlog.get_logger(__name__)

MOST = 500
"""Entries that one read returns at most."""

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
_BETWEEN = _ENTRIES.where(
    FeedEntry.position > bindparam("low"), FeedEntry.position <= bindparam("high")
).limit(bindparam("most"))
_ALL = Compiled(_BETWEEN.where(FeedEntry.type != TAGS_OUTDATED))
_SEEN = Compiled(_BETWEEN.where(FeedEntry.audience.in_(bindparam("audiences", expanding=True))))
_NEXT = Compiled(_ENTRIES.where(FeedEntry.position > bindparam("low")).limit(bindparam("most")))
_EVENT = Compiled(
    select(FeedEntry.event_id, FeedEntry.type, FeedEntry.payload, FeedEntry.created_at).where(
        FeedEntry.event_id == bindparam("event_id")
    )
)
_HEAD = Compiled(select(FeedHead.position))
_TRIMMED = Compiled(select(FeedHead.trimmed))


@dataclass(frozen=True)
class Changes:
    """Some entries in order, the cursor after them, and whether there are more by now."""

    entries: Sequence[Row[Any]]
    cursor: int
    more: bool


def changes(cursor: int, audiences: Collection[str], limit: int = MOST) -> Changes:
    """The entries after ``cursor`` that one of the audiences may see.

    Raises ResyncRequired for a cursor after which entries are gone, and for one that this feed has
    not given: the database was restored, or it is another one.
    """
    newest = head()
    if cursor > newest:
        raise ResyncRequired(reason="unknown", cursor=str(newest))
    seen = fetch_all(_SEEN, low=cursor, high=newest, most=limit, audiences=list(audiences))
    found = _changes(seen, newest, limit)
    # After the entries: some of them may have been trimmed while they were read.
    if cursor < _trimmed():
        raise ResyncRequired(reason="too_old", cursor=str(newest))
    return found


def entries_between(low: int, high: int, limit: int = MOST) -> Changes:
    """The events above ``low`` and up to ``high``, whoever may see them: for those who follow.

    What has left the feed before they came to it, by age or by a restore of the database, is told
    in the log (`feed_entries_missed`), by the positions after which and up to which it stood.
    """
    found = _changes(fetch_all(_ALL, low=low, high=high, most=limit), high, limit)
    following = found.entries[0].position if found.entries else high + 1
    if low + 1 < following and low < (trimmed := _trimmed()):
        log.warning("feed_entries_missed", after=low, until=min(trimmed, following - 1))
    return found


def _changes(entries: Sequence[Row[Any]], high: int, limit: int) -> Changes:
    more = len(entries) == limit
    return Changes(entries, entries[-1].position if more else high, more)


def entries_after(position: int, limit: int) -> Sequence[Row[Any]]:
    """The entries that come next after a position, whoever may see them, in order."""
    return fetch_all(_NEXT, low=position, most=limit)


def head() -> int:
    """The newest position that was given."""
    return int(fetch_value(_HEAD) or 0)


def published() -> Collection[str]:
    """The types of all events that installed plugins publish."""
    return runtime().event_types.values()


def _trimmed() -> int:
    return int(fetch_value(_TRIMMED) or 0)


def event(event_id: UUID) -> Row[Any] | None:
    """Type, payload and time of one event (columns event_id, type, payload, created_at)."""
    return fetch_one(_EVENT, event_id=event_id)
