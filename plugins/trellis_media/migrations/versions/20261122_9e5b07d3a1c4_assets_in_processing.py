"""Assets that are being processed are found among all others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9e5b07d3a1c4"
down_revision = "c41e7a9d0b36"
branch_labels = None
depends_on = None

PROCESSING = sa.text("state = 'processing'")


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_media_asset_processing",
        "media_asset",
        ["id"],
        sqlite_where=PROCESSING,
        postgresql_where=PROCESSING,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_media_asset_processing", table_name="media_asset")
