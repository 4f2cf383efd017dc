"""What a plugin may ask about its own work: what of it was given up."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from trellis.db.reads import fetch_all
from trellis.outbox.models import outbox

__all__ = ["given_up"]


def given_up(task: str, argument: str, among: Iterable[str]) -> list[str]:
    """Those of the values with which a task, by this argument, is a dead letter.

    Nobody runs it until an operator says so. Ask of a bounded number of values.
    """
    value = outbox.c.arguments[argument].as_string()
    dead = select(value.label("value")).where(
        outbox.c.task == task, outbox.c.dead_at.is_not(None), value.in_(list(among))
    )
    return [row.value for row in fetch_all(dead)]
