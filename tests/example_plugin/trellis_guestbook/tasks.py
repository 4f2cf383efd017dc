"""Work that is done after the answer."""

from __future__ import annotations

from uuid import UUID

from trellis.jobs import task

from trellis_guestbook import services


@task()
def thank(author_id: str) -> None:
    """Thank somebody for the first entry."""
    services.thank(UUID(author_id))


@task()
def drop_old_entries() -> None:
    """Remove entries past their time."""
    services.drop_old_entries()
