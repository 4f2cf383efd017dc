"""What must become true of a restored database before anybody is served from it."""

from __future__ import annotations

import structlog
from redis import Redis, RedisError
from sqlalchemy import select, update

from trellis.app import cache_url
from trellis.contracts import Identity, port_or_none
from trellis.db import database_now, fetch_all, fetch_value
from trellis.feed.models import FeedHead
from trellis.outbox.models import OutboxRow
from trellis.privacy import erasure
from trellis.privacy.journal import Note
from trellis.privacy.models import Erasure
from trellis.runtime import runtime
from trellis.unit_of_work import unit_of_work

log = structlog.get_logger(__name__)


def move_on() -> None:
    """Have no cursor of the lost days fit, and no work wait for a worker that is gone.

    The feed goes on at the number of microseconds since 1970. No feed grows as fast as these, so
    this is above every position that was given, by however many earlier restores.
    """
    now = fetch_value(select(database_now()))
    position = int(now.timestamp() * 1_000_000)
    with unit_of_work() as uow:
        uow.session.execute(update(FeedHead).values(position=position, trimmed=position))
        uow.session.execute(
            update(OutboxRow)
            .where(OutboxRow.leased_until.is_not(None))
            .values(leased_until=None)
            .execution_options(synchronize_session=False)
        )


def end_sessions() -> int:
    """End every session, so that none is revived that was ended since; returns how many."""
    identity = port_or_none(Identity)
    return 0 if identity is None else identity.end_all_sessions()


def erase_again(notes: list[Note]) -> tuple[int, list[str]]:
    """Erase whom the database does not know to be erased.

    Returns how many people that were, and the plugins that could not do their part now: their tasks
    are repeated when the service runs.
    """
    known = {row.id for row in fetch_all(select(Erasure.id))}
    forgotten = [note for note in notes if note.erasure_id not in known]
    failing: set[str] = set()
    for note in forgotten:
        with unit_of_work() as uow:
            erasure.request_erasure(uow, note.subject, erasure_id=note.erasure_id)
        failing |= _erase(note)
    return len(forgotten), sorted(failing)


def _erase(note: Note) -> set[str]:
    failing = set()
    for plugin in runtime().personal_data:
        try:
            erasure.erase_part(note.erasure_id, plugin)
        except Exception:
            log.exception("erasure_postponed", plugin=plugin)
            failing.add(plugin)
    if not failing:
        erasure.erase_part(note.erasure_id, erasure.CORE)
    return failing


def forget_cached() -> bool:
    """Clear the cache, which may know of what is not any more; False when it does not answer."""
    try:
        Redis.from_url(cache_url(runtime().redis_url), socket_connect_timeout=2).flushdb()
    except (RedisError, OSError):
        # The embedded broker has nothing when it does not run.
        return runtime().settings.core.redis_url is None
    return True
