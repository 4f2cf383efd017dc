"""The upkeep of events."""

from __future__ import annotations

from trellis.jobs import task
from trellis_analytics import services


@task()
def drop_old_events() -> None:
    """Delete some of the events that are past `retention_days`; goes on in a further task."""
    services.drop_old_events()
