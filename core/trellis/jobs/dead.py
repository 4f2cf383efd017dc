"""What a plugin may ask about its own work: what of it was given up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from trellis.db.reads import fetch_all
from trellis.outbox.models import outbox


def given_up(task: str) -> list[dict[str, Any]]:
    """The arguments of a task's dead letters, which nobody runs until an operator says so."""
    dead = select(outbox.c.arguments).where(outbox.c.task == task, outbox.c.dead_at.is_not(None))
    return [row.arguments for row in fetch_all(dead)]
