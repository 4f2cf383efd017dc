"""Assets, and how much each user keeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import trellis.db

revision = "c41e7a9d0b36"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "media_asset",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("failure", sa.String(length=20), nullable=True),
        sa.Column("content_type", sa.String(length=40), nullable=False),
        sa.Column("filename", sa.String(length=200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("thumbhash", sa.String(length=60), nullable=True),
        sa.Column("renditions", sa.JSON(), nullable=False),
        sa.Column("created_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("processed_at", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_asset")),
    )
    op.create_index("ix_media_asset_owner", "media_asset", ["owner_id", "id"])
    op.create_table(
        "media_usage",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", name=op.f("pk_media_usage")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("media_usage")
    op.drop_index("ix_media_asset_owner", table_name="media_asset")
    op.drop_table("media_asset")
