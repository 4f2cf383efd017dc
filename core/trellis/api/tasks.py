"""The upkeep of stored answers."""

from __future__ import annotations

from sqlalchemy import delete

from trellis.api.idempotency import KEEP_SECONDS
from trellis.api.models import StoredAnswer
from trellis.db.clock import database_now
from trellis.jobs import task
from trellis.unit_of_work import unit_of_work


@task()
def purge_answers() -> None:
    """Forget answers that are older than a client may ask for again."""
    with unit_of_work() as uow:
        uow.session.execute(
            delete(StoredAnswer).where(StoredAnswer.created_at < database_now(-KEEP_SECONDS))
        )
