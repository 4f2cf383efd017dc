"""Entry points of the workers."""

from __future__ import annotations

from uuid import UUID

from trellis.jobs import task
from trellis_media import services


# Only storage or database being away makes an attempt fail: a picture that cannot be decoded is an
# answer. Attempts go on for two hours before somebody has to look.
@task(queue="heavy", time_limit=60, attempts=20)
def make_renditions(asset_id: str) -> None:
    """Make the smaller forms of one picture."""
    services.make_renditions(UUID(asset_id))


@task()
def close_given_up(after: str = str(UUID(int=0))) -> None:
    """Have pictures fail whose task was given up, of those whose ids are after this one."""
    services.close_given_up(UUID(after))


@task(attempts=20)
def delete_objects(asset_id: str) -> None:
    """Delete the bytes of an asset that was deleted."""
    services.delete_objects(UUID(asset_id))


@task(queue="heavy", time_limit=600)
def sweep_orphans() -> None:
    """Delete bytes that no asset speaks of."""
    services.sweep_orphans()
