"""Assets that everybody may see."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2f6c8e15b7d9"
down_revision = "9e5b07d3a1c4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "media_asset",
        sa.Column("visibility", sa.String(length=10), server_default="private", nullable=False),
    )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("media_asset") as batch_op:
        batch_op.drop_column("visibility")
