"""An event on its way into the feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trellis.db.ids import new_id
from trellis.events import Event
from trellis.outbox.record import OutboxRecord
from trellis.runtime import runtime


@dataclass(frozen=True)
class FeedRecord:
    """An event with the id and type under which it will stand in the feed."""

    event_id: UUID
    type: str
    event: Event

    @classmethod
    def of(cls, event: Event) -> FeedRecord:
        """Raises LookupError for an event that no loaded plugin publishes."""
        event_type = runtime().event_types.get(type(event))
        if event_type is None:
            raise LookupError(f"{type(event).__name__} is not in any plugin's `publishes`")
        return cls(new_id(), event_type, event)

    def deliveries(self) -> list[OutboxRecord]:
        """One piece of durable work for each listener."""
        return [
            OutboxRecord.of(
                listener, {"event_id": str(self.event_id)}, subject=self.event.subject()
            )
            for listener in runtime().listeners.get(self.type, ())
        ]

    def row(self) -> dict[str, Any]:
        """The values of its row."""
        return {
            "event_id": self.event_id,
            "type": self.type,
            "audience": self.event.audience(),
            "subject": self.event.subject(),
            "resource": self.event.resource,
            "resource_id": self.event.resource_id(),
            "operation": self.event.operation,
            "payload": self.event.payload(),
        }
