"""The core's tasks of an erasure."""

from __future__ import annotations

from uuid import UUID

from trellis.jobs import task
from trellis.privacy import erasure


# The part of a plugin that is left out waits for it; after the month that the law gives, somebody
# has to look.
@task(attempts=50, give_up_after=30 * 86_400)
def erase_part(erasure_id: str, plugin: str) -> None:
    """Erase what one plugin holds of a person."""
    erasure.erase_part(UUID(erasure_id), plugin)


@task(attempts=50)
def complete_erasure(erasure_id: str) -> None:
    """See that nothing deleted is left on the disk, and call the erasure complete."""
    erasure.complete(UUID(erasure_id))
