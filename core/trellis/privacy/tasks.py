"""The core's task of an erasure."""

from __future__ import annotations

from uuid import UUID

from trellis.jobs import task
from trellis.privacy import erasure


@task(attempts=50)
def erase_part(erasure_id: str, plugin: str) -> None:
    """Erase what one plugin holds of a person."""
    erasure.erase_part(UUID(erasure_id), plugin)
