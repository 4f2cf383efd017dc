"""The table of events, and what one row may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db import Model

ID_LENGTH = 64
NAME_LENGTH = 80
PROPERTIES_DEPTH = 8

# `$` alone would let a newline follow.
ID_PATTERN = rf"^[A-Za-z0-9_.:-]{{1,{ID_LENGTH}}}$(?!\n)"
NAME_PATTERN = rf"^[A-Za-z][A-Za-z0-9 _.:-]{{0,{NAME_LENGTH - 1}}}$(?!\n)"


class AnalyticsEvent(Model):
    """Something that one person did in the app.

    ``id`` is the app's own and unique for the person: sent again, the event counts once. ``day``
    is the UTC day of ``occurred_at``. ``claimed_at`` is set when the time that the phone stated was
    not believed: what it stated, as text, because it may be no time that a database can hold.
    """

    __tablename__ = "analytics_event"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    claimed_at: Mapped[str | None] = mapped_column(String(50))
    day: Mapped[date]
    properties: Mapped[dict[str, Any]]

    __table_args__ = (
        # Each report reads one of these and never the table.
        Index("ix_analytics_event_day_user_id", "day", "user_id"),
        Index("ix_analytics_event_day_name", "day", "name"),
    )


@dataclass(frozen=True)
class NewEvent:
    """An event as it was sent; its time is not yet believed."""

    id: str
    name: str
    occurred_at: datetime
    properties: Mapping[str, Any]


def properties_fault(properties: Mapping[str, Any], max_bytes: int) -> str | None:
    """Why properties cannot be kept, or ``None``. Raises TypeError when they are not JSON."""
    size = len(json.dumps(properties, ensure_ascii=False, separators=(",", ":")).encode())
    if size > max_bytes:
        return f"Larger than {max_bytes} bytes."
    level: list[Any] = [properties]
    for _ in range(PROPERTIES_DEPTH):
        level = [inner for outer in level for inner in _within(outer)]
    return f"Nested deeper than {PROPERTIES_DEPTH} levels." if level else None


def _within(value: Any) -> list[Any]:
    """The containers directly inside a container."""
    members = value.values() if isinstance(value, Mapping) else value
    return [member for member in members if isinstance(member, (Mapping, list, tuple))]
