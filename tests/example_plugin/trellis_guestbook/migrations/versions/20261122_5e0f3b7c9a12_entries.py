"""Entries."""

from __future__ import annotations

import sqlalchemy as sa
import trellis.db
from alembic import op

revision = "5e0f3b7c9a12"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "guestbook_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=True),
        sa.Column("written_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guestbook_entry")),
        sa.UniqueConstraint("photo_id", name=op.f("uq_guestbook_entry_photo_id")),
    )
    op.create_index(op.f("ix_guestbook_entry_author_id"), "guestbook_entry", ["author_id"])
    op.create_index(op.f("ix_guestbook_entry_written_at"), "guestbook_entry", ["written_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("guestbook_entry")
