"""A piece of work on its way into the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trellis.db.ids import new_id
from trellis.runtime import runtime
from trellis.task import PRIORITIES, Queue


@dataclass(frozen=True)
class OutboxRecord:
    """A piece of work that will be appended."""

    id: UUID
    task: str
    queue: Queue
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
