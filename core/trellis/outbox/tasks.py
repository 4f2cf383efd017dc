"""The outbox's own upkeep."""

from __future__ import annotations

from sqlalchemy import delete

from trellis.db.clock import database_now
from trellis.db.unit_of_work import unit_of_work
from trellis.jobs import task
from trellis.outbox.models import OutboxRow

# Long enough that no schedule's unique key is free again while its due time can still be inserted.
_KEEP_DONE_SECONDS = 24 * 3600


@task()
def purge_outbox() -> None:
    """Forget work that was done more than a day ago."""
    with unit_of_work() as uow:
        uow.session.execute(
            delete(OutboxRow).where(OutboxRow.done_at < database_now(-_KEEP_DONE_SECONDS))
        )
