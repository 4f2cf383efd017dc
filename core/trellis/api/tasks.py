"""The upkeep of stored answers."""

from __future__ import annotations

from sqlalchemy import delete, select

from trellis.api.idempotency import KEEP_SECONDS
from trellis.api.models import StoredAnswer
from trellis.db.clock import database_now
from trellis.jobs import task
from trellis.unit_of_work import unit_of_work

_BATCH = 5_000


@task()
def purge_answers() -> None:
    """Forget answers that are older than a client may ask for again, a batch in each run."""
    old = (
        select(StoredAnswer.id)
        .where(StoredAnswer.created_at < database_now(-KEEP_SECONDS))
        .limit(_BATCH)
    )
    with unit_of_work() as uow:
        forgotten = uow.session.scalars(
            delete(StoredAnswer)
            .where(StoredAnswer.id.in_(old))
            .returning(StoredAnswer.id)
            .execution_options(synchronize_session=False)
        )
        if len(forgotten.all()) == _BATCH:
            uow.enqueue("core.purge_answers")
