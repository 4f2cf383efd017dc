"""The feed's own upkeep."""

from __future__ import annotations

from trellis.feed import retention
from trellis.jobs import task
from trellis.settings import Settings
from trellis.unit_of_work import unit_of_work

_DAY_SECONDS = 24 * 3600


@task()
def trim_feed(after: int = 0) -> None:
    """Delete entries that are older than `feed_retention_days`, a batch in each run."""
    last = retention.trim(Settings.current().feed_retention_days * _DAY_SECONDS, after)
    if last is not None:
        with unit_of_work() as uow:
            uow.enqueue("core.trim_feed", after=last)
