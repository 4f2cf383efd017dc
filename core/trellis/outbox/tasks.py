"""The outbox's own upkeep."""

from __future__ import annotations

from sqlalchemy import delete, or_, select

from trellis.db.clock import database_now
from trellis.db.reads import fetch_value
from trellis.jobs import task
from trellis.jobs.schedule import due_key
from trellis.outbox.models import OutboxRow
from trellis.runtime import runtime
from trellis.unit_of_work import unit_of_work

_KEEP_DONE_SECONDS = 24 * 3600
_BATCH = 5_000


@task()
def purge_outbox() -> None:
    """Forget work that was done more than a day ago, a batch in each run.

    A schedule's newest row stays: a scheduler that starts would insert it once more.
    """
    now = fetch_value(select(database_now()))
    newest = [due_key(schedule, now) for schedule in runtime().schedules]
    old = (
        select(OutboxRow.id)
        .where(
            OutboxRow.done_at < database_now(-_KEEP_DONE_SECONDS),
            or_(OutboxRow.unique_key.is_(None), OutboxRow.unique_key.not_in(newest)),
        )
        .limit(_BATCH)
    )
    with unit_of_work() as uow:
        forgotten = uow.session.scalars(
            delete(OutboxRow)
            .where(OutboxRow.id.in_(old))
            .returning(OutboxRow.id)
            .execution_options(synchronize_session=False)
        )
        if len(forgotten.all()) == _BATCH:
            uow.enqueue("core.purge_outbox")
