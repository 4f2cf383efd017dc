"""Events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import trellis.db

revision = "8d1f60c2ab47"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "analytics_event",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("occurred_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("received_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.String(length=50), nullable=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_analytics_event")),
    )
    op.create_index("ix_analytics_event_day_user_id", "analytics_event", ["day", "user_id"])
    op.create_index("ix_analytics_event_day_name", "analytics_event", ["day", "name"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_analytics_event_day_name", table_name="analytics_event")
    op.drop_index("ix_analytics_event_day_user_id", table_name="analytics_event")
    op.drop_table("analytics_event")
