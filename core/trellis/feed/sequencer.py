"""Gives committed feed entries their positions, one process at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, Select, func, select, update

from trellis.db.base import db
from trellis.db.reads import fetch_one
from trellis.feed.models import FeedEntry, FeedHead
from trellis.runtime import runtime
from trellis.unit_of_work import unit_of_work

_BATCH = 1000
# A process that is stopped while it holds the head (or whose machine vanished) loses it after this.
_STOPPED_SECONDS = 5

_unsequenced = select(FeedEntry.entry).where(FeedEntry.position.is_(None))
_anything = _unsequenced.limit(1)


def sequence() -> int:
    """Give the committed entries without a position the next ones; returns how many there were.

    The row of `FeedHead` is the lock: whoever holds it is the only sequencer, so positions are
    given in commit-visible order and without a gap. Whoever finds it held returns 0 and does not
    wait. So a caller that was answered with more than 0 announces the feed: whoever hears of it
    calls this again, and finds what came while the lock was held.
    """
    given = 0
    while fetch_one(_anything) is not None:
        given += (batch := _sequence_batch())
        if batch < _BATCH:
            break
    return given


def _sequence_batch() -> int:
    with unit_of_work() as uow:
        head = uow.session.execute(_head()).first()
        if head is None:
            return 0
        pending = _pending()
        given = uow.session.execute(
            update(FeedEntry)
            .where(FeedEntry.entry == pending.c.entry)
            .values(position=head.position + pending.c.number)
            .returning(FeedEntry.entry)  # SQLite's driver counts no rows of what begins with WITH
            .execution_options(synchronize_session=False)
        ).all()
        uow.session.execute(update(FeedHead).values(position=FeedHead.position + len(given)))
        for follower in runtime().followers if given else ():
            uow.enqueue(follower)
        return len(given)


def _head() -> Select[Any]:
    """The head's position, locked; no row when somebody else holds the lock."""
    statement = select(FeedHead.position).with_for_update(skip_locked=True)
    if db.engine.dialect.name == "postgresql":
        bound = func.set_config("idle_in_transaction_session_timeout", f"{_STOPPED_SECONDS}s", True)
        statement = statement.add_columns(bound)
    return statement


def _pending() -> CTE:
    """Entries to come next, numbered from 1.

    Each is locked first, and one that is locked is left out: an erasure may be deleting it, and
    with its number given the positions would have a gap, and the head would stand before the last.
    """
    locked = (
        _unsequenced.order_by(FeedEntry.entry)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
        .cte("locked")
    )
    number = func.row_number().over(order_by=locked.c.entry).label("number")
    return select(locked.c.entry, number).cte("pending")
