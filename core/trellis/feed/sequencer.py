"""Gives committed feed entries their positions, one process at a time."""

from __future__ import annotations

from sqlalchemy import func, select, update

from trellis.db.reads import fetch_one
from trellis.feed.models import FeedEntry, FeedHead
from trellis.unit_of_work import unit_of_work


def sequence() -> int:
    """Give every committed entry without a position the next ones; returns how many there were.

    The row of `FeedHead` is the lock: whoever holds it is the only sequencer, so positions are
    given in commit-visible order and without a gap. Anybody who reads the feed may call this.
    """
    unsequenced = select(FeedEntry.entry).where(FeedEntry.position.is_(None))
    if fetch_one(unsequenced.limit(1)) is None:
        return 0
    with unit_of_work() as uow:
        head = uow.session.execute(select(FeedHead).with_for_update()).scalar_one()
        pending = unsequenced.add_columns(
            func.row_number().over(order_by=FeedEntry.entry).label("number")
        ).subquery()
        given = uow.session.execute(
            update(FeedEntry)
            .where(FeedEntry.entry == pending.c.entry)
            .values(position=head.position + pending.c.number)
            .execution_options(synchronize_session=False)
        )
        head.position += given.rowcount  # type: ignore[attr-defined]
        return int(given.rowcount)  # type: ignore[attr-defined]
