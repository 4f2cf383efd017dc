"""Tables of the feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db.base import Model

# SQLite counts only an INTEGER primary key up by itself.
Counter = BigInteger().with_variant(Integer(), "sqlite")


TAGS_OUTDATED = "core.tags_outdated/1"
"""Type of the entries for the cache: no event, and for nobody else (see `stale.py`)."""


class FeedEntry(Model):
    """One change. ``entry`` is the order of insertion, ``position`` the order of the feed."""

    __tablename__ = "core_feed_entry"

    entry: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    type: Mapped[str] = mapped_column(String(120))
    audience: Mapped[str | None] = mapped_column(String(60))
    subject: Mapped[UUID | None] = mapped_column(index=True)
    resource: Mapped[str] = mapped_column(String(60))
    resource_id: Mapped[str] = mapped_column(String(60))
    operation: Mapped[str] = mapped_column(String(10))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (
        # What the sequencer looks for: only rows that have no position yet.
        Index(
            "ix_core_feed_entry_unsequenced",
            "entry",
            sqlite_where=text("position IS NULL"),
            postgresql_where=text("position IS NULL"),
        ),
        Index("ix_core_feed_entry_audience_position", "audience", "position"),
        # Insertion numbers are never used again, also when the newest row is erased.
        {"sqlite_autoincrement": True},
    )


class FeedHead(Model):
    """One row: the last position that was given, and the last one whose entry is gone by age."""

    __tablename__ = "core_feed_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
    trimmed: Mapped[int] = mapped_column(BigInteger, server_default="0")
