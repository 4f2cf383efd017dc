"""Endpoints, deliveries and attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import trellis.db

revision = "c41d7be9a052"
down_revision = None
branch_labels = None
depends_on = None

_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "webhooks_endpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=20), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("secret", trellis.db.Secret(), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.Column("closed_until", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("turn_at", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.Column("created_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_endpoint")),
    )
    op.create_index("ix_webhooks_endpoint_owner_id", "webhooks_endpoint", ["owner_id"])
    op.create_table(
        "webhooks_previous_secret",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("secret", trellis.db.Secret(), nullable=False),
        sa.Column("until", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhooks_endpoint.id"],
            name=op.f("fk_webhooks_previous_secret_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_previous_secret")),
    )
    op.create_index(
        "ix_webhooks_previous_secret_endpoint_id", "webhooks_previous_secret", ["endpoint_id"]
    )
    op.create_table(
        "webhooks_delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=120), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=True),
        sa.Column("occurred_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(length=200), nullable=True),
        sa.Column("last_duration_ms", sa.Integer(), nullable=True),
        sa.Column("created_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhooks_endpoint.id"],
            name=op.f("fk_webhooks_delivery_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_delivery")),
        sa.UniqueConstraint(
            "endpoint_id", "event_id", name=op.f("uq_webhooks_delivery_endpoint_id_event_id")
        ),
    )
    op.create_index("ix_webhooks_delivery_created_at", "webhooks_delivery", ["created_at"])
    op.create_index("ix_webhooks_delivery_log", "webhooks_delivery", ["endpoint_id", "id"])
    op.create_index("ix_webhooks_delivery_subject", "webhooks_delivery", ["subject"])
    op.create_index(
        "ix_webhooks_delivery_waiting",
        "webhooks_delivery",
        ["endpoint_id", "next_attempt_at"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_table(
        "webhooks_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhooks_delivery.id"],
            name=op.f("fk_webhooks_attempt_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_attempt")),
    )
    op.create_index("ix_webhooks_attempt_delivery_id", "webhooks_attempt", ["delivery_id"])
    cursor = op.create_table(
        "webhooks_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_cursor")),
    )
    op.bulk_insert(cursor, [{"id": 1, "position": 0}])


def downgrade() -> None:
    """Take back."""
    op.drop_table("webhooks_cursor")
    op.drop_table("webhooks_attempt")
    op.drop_table("webhooks_delivery")
    op.drop_table("webhooks_previous_secret")
    op.drop_table("webhooks_endpoint")
