"""The table of durable work."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Index, SmallInteger, String, Table, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db.base import Model

OPEN = "done_at IS NULL AND dead_at IS NULL"
_LEASED = f"{OPEN} AND leased_until IS NOT NULL"
_DONE = "done_at IS NOT NULL"
_DEAD = "dead_at IS NOT NULL"


class OutboxRow(Model):
    """One run of one task, until it is done (``done_at``) or given up (``dead_at``).

    Whoever runs it holds a lease until ``leased_until``; ``fence`` counts the leases and only ever
    rises, so a holder whose lease ran out is told from the present one. ``attempts`` counts the
    runs that were the task's own. ``begun_at`` is the first claim since it was made or retried by
    an operator. All times are the database's.
    """

    __tablename__ = "core_outbox"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(120))
    queue: Mapped[str] = mapped_column(String(10))
    arguments: Mapped[dict[str, Any]]
    subject: Mapped[UUID | None] = mapped_column(index=True)
    unique_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    fence: Mapped[int]
    attempts: Mapped[int] = mapped_column(server_default="0")
    begun_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index(
            "ix_core_outbox_open",
            "queue",
            "priority",
            "due_at",
            sqlite_where=text(OPEN),
            postgresql_where=text(OPEN),
        ),
        Index(
            "ix_core_outbox_leased",
            "queue",
            "leased_until",
            sqlite_where=text(_LEASED),
            postgresql_where=text(_LEASED),
        ),
        # Of all rows, PostgreSQL would take it for a claim, and sort what is open each time.
        Index(
            "ix_core_outbox_done",
            "done_at",
            sqlite_where=text(_DONE),
            postgresql_where=text(_DONE),
        ),
        Index(
            "ix_core_outbox_dead",
            "id",
            sqlite_where=text(_DEAD),
            postgresql_where=text(_DEAD),
        ),
    )


outbox = cast("Table", OutboxRow.__table__)
"""The same without the ORM, whose share in a short statement is larger than the database's."""
