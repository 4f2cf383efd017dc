"""Tables of the plugin."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db import Model, Secret

MAX_URL, MAX_DESCRIPTION, MAX_ERROR = 2000, 200, 200

WAITING, DELIVERED, FAILED = STATES = ("waiting", "delivered", "failed")
"""States of a delivery; what failed was given up."""

_WAITING = "state = 'waiting'"


class Endpoint(Model):
    """An address that is told of events after position ``after`` of the feed, and how it fares.

    Its attempts are made one after the other, by a task that names its ``turn``: a task of an
    earlier turn has nothing to do. ``turn_at`` is when the task of this turn is due; null means
    that nothing waits. No attempt is made before ``closed_until``, whichever delivery is due.
    ``seen_at`` is when these times were last looked at: by an earlier one the clock is known that
    was set back since.
    """

    __tablename__ = "webhooks_endpoint"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String(MAX_URL))
    description: Mapped[str] = mapped_column(String(MAX_DESCRIPTION))
    events: Mapped[list[str]]
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(String(20))
    owner_id: Mapped[UUID | None] = mapped_column(index=True)
    secret: Mapped[str] = mapped_column(Secret)
    after: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    closed_until: Mapped[datetime | None]
    turn: Mapped[int]
    turn_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class PreviousSecret(Model):
    """A secret that was rotated away, and signs beside the present one until then."""

    __tablename__ = "webhooks_previous_secret"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey(Endpoint.id, ondelete="CASCADE"), index=True
    )
    secret: Mapped[str] = mapped_column(Secret)
    until: Mapped[datetime]


class Delivery(Model):
    """One event for one endpoint. ``tries`` counts the attempts since it was last asked for."""

    __tablename__ = "webhooks_delivery"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey(Endpoint.id, ondelete="CASCADE"))
    event_id: Mapped[UUID]
    type: Mapped[str] = mapped_column(String(120))
    data: Mapped[dict[str, Any]]
    subject: Mapped[UUID | None] = mapped_column(index=True)
    occurred_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int]
    tries: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(String(MAX_ERROR))
    last_duration_ms: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        Index("ix_webhooks_delivery_log", "endpoint_id", "id"),
        Index(
            "ix_webhooks_delivery_waiting",
            "endpoint_id",
            "next_attempt_at",
            sqlite_where=text(_WAITING),
            postgresql_where=text(_WAITING),
        ),
    )


class Attempt(Model):
    """One request, and what came of it: a status, or an error when there was no answer."""

    __tablename__ = "webhooks_attempt"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey(Delivery.id, ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(MAX_ERROR))
    duration_ms: Mapped[int]


class Cursor(Model):
    """One row: the position up to which the feed has been read."""

    __tablename__ = "webhooks_cursor"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
