"""How long entries stay, and what a cursor is worth when those after it are gone."""

from __future__ import annotations

from itertools import takewhile
from uuid import UUID

from sqlalchemy import delete, select, update

from trellis.db.clock import database_now
from trellis.feed.models import FeedEntry, FeedHead
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import UnitOfWork, unit_of_work

_BATCH = 2000


def trim(keep_seconds: float) -> bool:
    """Delete a batch of the oldest entries that are older; returns whether there may be more.

    An entry that a listener has still to hear of is kept, dead letters included, though no cursor
    leads to it any more.
    """
    with unit_of_work() as uow:
        old = FeedEntry.created_at < database_now(-keep_seconds)
        oldest = uow.session.execute(
            select(FeedEntry.entry, FeedEntry.position, old.label("old"))
            .where(
                FeedEntry.position.is_not(None),
                FeedEntry.event_id.not_in(_awaited(uow, keep_seconds)),
            )
            .order_by(FeedEntry.position)
            .limit(_BATCH)
        ).all()
        gone = list(takewhile(lambda entry: entry.old, oldest))
        if gone:
            entries = [entry.entry for entry in gone]
            uow.session.execute(delete(FeedEntry).where(FeedEntry.entry.in_(entries)))
            # Last: it is the sequencer's lock.
            last = gone[-1].position
            uow.session.execute(
                update(FeedHead).where(FeedHead.trimmed < last).values(trimmed=last)
            )
        return len(gone) == _BATCH


def _awaited(uow: UnitOfWork, keep_seconds: float) -> list[UUID]:
    """Events whose listeners are not through with them."""
    undone = uow.session.scalars(
        select(OutboxRow.arguments).where(
            OutboxRow.done_at.is_(None), OutboxRow.created_at < database_now(-keep_seconds)
        )
    )
    return [UUID(arguments["event_id"]) for arguments in undone if "event_id" in arguments]
