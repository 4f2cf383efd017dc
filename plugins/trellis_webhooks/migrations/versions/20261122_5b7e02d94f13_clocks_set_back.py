"""When an endpoint's times were last looked at, by which a clock that was set back is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import trellis.db

revision = "5b7e02d94f13"
down_revision = "c41d7be9a052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "webhooks_endpoint",
        sa.Column("seen_at", trellis.db.UTCDateTime(timezone=True), nullable=True),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_column("webhooks_endpoint", "seen_at")
