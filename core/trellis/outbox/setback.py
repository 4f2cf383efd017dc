"""Work when the database's clock was set back: left to itself, it would wait for that long."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import bindparam, select, update

from trellis.db.clock import database_now
from trellis.outbox.lease import LEASE_SECONDS
from trellis.outbox.models import outbox
from trellis.unit_of_work import unit_of_work

# Clocks tell a row's times apart by this much at most, in the statements of one transaction.
_TOLERANCE = 1.0
# Rows of one transaction: nobody takes them meanwhile.
_BATCH = 500

_open = (outbox.c.done_at.is_(None), outbox.c.dead_at.is_(None))


def after_setback(back: timedelta = timedelta()) -> None:
    """Have work that was made or leased in what is the future now come when it should.

    ``back`` is by how much the clock was set back, as far as it is known. May be called at any
    time, by many: of rows that are in order it changes nothing.
    """
    with unit_of_work() as uow:
        uow.session.execute(
            update(outbox)
            .where(*_open, outbox.c.leased_until > database_now(LEASE_SECONDS + _TOLERANCE))
            .values(leased_until=database_now())
        )
    while _move(back) == _BATCH:
        pass


def _move(back: timedelta) -> int:
    """Set a batch right; how many rows it had."""
    with unit_of_work() as uow:
        ahead = uow.session.execute(
            select(outbox.c.id, outbox.c.created_at, outbox.c.due_at, database_now().label("now"))
            .where(*_open, outbox.c.created_at > database_now(_TOLERANCE))
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        moved = []
        for row in ahead:
            # Nothing was made in the future: so much is known also of what came since we looked.
            by = max(back, row.created_at - row.now)
            moved.append({"row": row.id, "created": row.created_at - by, "due": row.due_at - by})
        if moved:
            uow.session.execute(
                update(outbox)
                .where(outbox.c.id == bindparam("row"))
                .values(created_at=bindparam("created"), due_at=bindparam("due")),
                moved,
            )
        return len(moved)
