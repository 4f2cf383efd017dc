"""Gives committed feed entries their positions, one process at a time."""

from __future__ import annotations

from sqlalchemy import func, select, update

from trellis.db.unit_of_work import unit_of_work
from trellis.feed.models import FeedEntry, FeedHead
from trellis.feed.reader import has_unsequenced


def sequence() -> int:
    """Give every committed entry without a position the next ones; returns how many there were.

    The row of `FeedHead` is the lock: whoever holds it is the only sequencer, so positions are
    given in commit-visible order and without a gap. Anybody who reads the feed may call this.
    """
    if not has_unsequenced():
        return 0
    with unit_of_work() as uow:
        head = uow.session.execute(select(FeedHead).with_for_update()).scalar_one()
        pending = (
            select(
                FeedEntry.entry, func.row_number().over(order_by=FeedEntry.entry).label("number")
            )
            .where(FeedEntry.position.is_(None))
            .subquery()
        )
        given = uow.session.execute(
            update(FeedEntry)
            .where(FeedEntry.entry == pending.c.entry)
            .values(position=head.position + pending.c.number)
            .execution_options(synchronize_session=False)
        )
        head.position += given.rowcount  # type: ignore[attr-defined]
        return int(given.rowcount)  # type: ignore[attr-defined]
