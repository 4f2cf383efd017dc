"""Durable work of auth."""

from __future__ import annotations

from trellis.jobs import task
from trellis_auth import services


@task()
def sweep() -> None:
    """Sweep away expired sessions, codes, counts, and accounts that nobody verified."""
    services.sweep()
