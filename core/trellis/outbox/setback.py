"""Work when the database's clock was set back: left to itself, it would wait for that long."""

from __future__ import annotations

from sqlalchemy import select, update

from trellis.db.clock import database_now
from trellis.outbox.lease import LEASE_SECONDS
from trellis.outbox.models import outbox
from trellis.unit_of_work import unit_of_work

# Clocks tell a row's times apart by this much at most, in the statements of one transaction.
_TOLERANCE = 1.0


def after_setback() -> None:
    """Have work that was made or leased in what is the future now come when it should.

    May be called at any time, by many: of rows that are in order it changes nothing. What was put
    off before the clock was set back waits longer by that.
    """
    open_ = (outbox.c.done_at.is_(None), outbox.c.dead_at.is_(None))
    too_late = database_now(LEASE_SECONDS + _TOLERANCE)
    with unit_of_work() as uow:
        connection = uow.session.connection()
        connection.execute(
            update(outbox)
            .where(*open_, outbox.c.leased_until > too_late)
            .values(leased_until=database_now())
        )
        made = connection.execute(
            select(outbox.c.id, outbox.c.created_at, outbox.c.due_at, database_now().label("now"))
            .where(*open_, outbox.c.created_at > database_now(_TOLERANCE))
            .with_for_update()
        ).all()
        for row in made:
            due_at = row.now + (row.due_at - row.created_at)
            connection.execute(
                update(outbox)
                .where(outbox.c.id == row.id)
                .values(created_at=row.now, due_at=due_at)
            )
