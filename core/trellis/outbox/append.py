"""Writing to the outbox; called by the unit of work just before it commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Float, bindparam
from sqlalchemy.orm import Session

from trellis.db.clock import database_now
from trellis.db.ids import new_id
from trellis.db.inserts import Insert, insert_for
from trellis.jobs.declaration import PRIORITIES
from trellis.outbox.models import outbox
from trellis.runtime import runtime


@dataclass(frozen=True)
class OutboxRecord:
    """A piece of work that will be appended."""

    id: UUID
    task: str
    queue: str
    priority: int
    arguments: Mapping[str, Any]
    delay: float
    unique_key: str | None
    subject: UUID | None

    @classmethod
    def of(
        cls,
        task: str,
        arguments: Mapping[str, Any],
        delay: float = 0.0,
        unique_key: str | None = None,
        subject: UUID | None = None,
    ) -> OutboxRecord:
        """Raises LookupError for a task that no loaded plugin declares."""
        declared = runtime().tasks.get(task)
        if declared is None:
            raise LookupError(f"no plugin declares the task {task!r}")
        priority = PRIORITIES[declared.options.priority]
        return cls(new_id(), task, declared.queue, priority, arguments, delay, unique_key, subject)

    def row(self) -> dict[str, Any]:
        """The values of its row."""
        return {
            "id": self.id,
            "task": self.task,
            "queue": self.queue,
            "priority": self.priority,
            "arguments": dict(self.arguments),
            "subject": self.subject,
            "unique_key": self.unique_key,
            "delay": self.delay,
        }


def append_work(session: Session, records: Sequence[OutboxRecord]) -> None:
    """Insert the records in the caller's transaction; a taken unique key is left as it is."""
    if records:
        connection = session.connection()
        connection.execute(_insertion(connection.dialect.name), [row.row() for row in records])


@cache
def _insertion(dialect: str) -> Insert:
    return (
        insert_for(dialect, outbox)
        .values(
            created_at=database_now(),
            due_at=database_now(bindparam("delay", type_=Float())),
            fence=0,
        )
        .on_conflict_do_nothing(index_elements=["unique_key"])
    )
