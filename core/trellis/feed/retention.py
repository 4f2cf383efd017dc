"""How long entries stay, and what a cursor is worth when those after it are gone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from uuid import UUID

from sqlalchemy import delete, select, update

from trellis.db.clock import database_now
from trellis.feed.models import FeedEntry, FeedHead
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import UnitOfWork, unit_of_work

_BATCH = 2000


def trim(keep_seconds: float, after: int = 0) -> int | None:
    """Delete what nobody waits for of the oldest entries after a position, when they are older.

    Looks at a batch; returns the position to go on after, or None when there is no more. An entry
    that a listener has still to hear of is kept, dead letters included, though no cursor leads to
    it any more.
    """
    with unit_of_work() as uow:
        old = FeedEntry.created_at < database_now(-keep_seconds)
        batch = uow.session.execute(
            select(FeedEntry.entry, FeedEntry.position, FeedEntry.event_id, old.label("old"))
            .where(FeedEntry.position > after)
            .order_by(FeedEntry.position)
            .limit(_BATCH)
        ).all()
        oldest = list(takewhile(lambda entry: entry.old, batch))
        awaited = _awaited(uow, [entry.event_id for entry in oldest])
        gone = [entry for entry in oldest if entry.event_id not in awaited]
        if gone:
            entries = [entry.entry for entry in gone]
            uow.session.execute(delete(FeedEntry).where(FeedEntry.entry.in_(entries)))
            # Last: it is the sequencer's lock.
            last = gone[-1].position
            uow.session.execute(
                update(FeedHead).where(FeedHead.trimmed < last).values(trimmed=last)
            )
        return oldest[-1].position if len(oldest) == _BATCH else None


def _awaited(uow: UnitOfWork, events: Sequence[UUID]) -> set[UUID]:
    """Those of the events whose listeners are not through with them."""
    event_id = OutboxRow.arguments["event_id"].as_string()
    undone = select(event_id).where(
        OutboxRow.done_at.is_(None), event_id.in_([str(event) for event in events])
    )
    return {UUID(event) for event in uow.session.scalars(undone)}
