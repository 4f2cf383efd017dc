"""Counting what happens in the product. Provided by the plugin that owns analytics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID


class EventSink(Protocol):
    """Takes events that the server itself observes."""

    def track(self, user_id: UUID, name: str, properties: Mapping[str, Any]) -> None:
        """Record one event now; joins the caller's unit of work."""
        ...
