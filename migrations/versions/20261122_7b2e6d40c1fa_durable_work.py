"""Attempts and priorities, trimmed feed, stored answers, and what an installation is known by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trellis.db import UTCDateTime

revision = "7b2e6d40c1fa"
down_revision = "5d181d03695b"
branch_labels = None
depends_on = None

OPEN = sa.text("done_at IS NULL AND dead_at IS NULL")
LEASED = sa.text("done_at IS NULL AND dead_at IS NULL AND leased_until IS NOT NULL")
DONE = sa.text("done_at IS NOT NULL")
DEAD = sa.text("dead_at IS NOT NULL")


def upgrade() -> None:
    """Apply."""
    # Each new column has a default in the database: code of the revision before writes no value.
    with op.batch_alter_table("core_outbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(
            sa.Column("priority", sa.SmallInteger(), server_default="1", nullable=False)
        )
        batch_op.add_column(sa.Column("begun_at", UTCDateTime(), nullable=True))
        batch_op.drop_index("ix_core_outbox_open")
        batch_op.create_index(
            "ix_core_outbox_open",
            ["queue", "priority", "due_at"],
            unique=False,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        )
        batch_op.create_index(
            "ix_core_outbox_leased",
            ["queue", "leased_until"],
            unique=False,
            sqlite_where=LEASED,
            postgresql_where=LEASED,
        )
        batch_op.drop_index("ix_core_outbox_done_at")
        batch_op.create_index(
            "ix_core_outbox_done",
            ["done_at"],
            unique=False,
            sqlite_where=DONE,
            postgresql_where=DONE,
        )
        batch_op.create_index(
            "ix_core_outbox_dead",
            ["id"],
            unique=False,
            sqlite_where=DEAD,
            postgresql_where=DEAD,
        )
    with op.batch_alter_table("core_feed_head", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("trimmed", sa.BigInteger(), server_default="0", nullable=False)
        )
    op.create_table(
        "core_idempotency",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_idempotency")),
    )
    with op.batch_alter_table("core_idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_core_idempotency_created_at"), ["created_at"])
        batch_op.create_index(batch_op.f("ix_core_idempotency_subject"), ["subject"])
    op.create_table(
        "core_installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("storage_id", sa.String(length=36), nullable=True),
        sa.Column("secret_keys", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_installation")),
    )
    installation = sa.table("core_installation", sa.column("id", sa.Integer))
    op.bulk_insert(installation, [{"id": 1}])


def downgrade() -> None:
    """Take back."""
    op.drop_table("core_installation")
    op.drop_table("core_idempotency")
    with op.batch_alter_table("core_feed_head", schema=None) as batch_op:
        batch_op.drop_column("trimmed")
    with op.batch_alter_table("core_outbox", schema=None) as batch_op:
        batch_op.drop_index("ix_core_outbox_dead")
        batch_op.drop_index("ix_core_outbox_done")
        batch_op.create_index("ix_core_outbox_done_at", ["done_at"], unique=False)
        batch_op.drop_index("ix_core_outbox_leased")
        batch_op.drop_index("ix_core_outbox_open")
        batch_op.drop_column("begun_at")
        batch_op.drop_column("priority")
        batch_op.drop_column("attempts")
        batch_op.create_index(
            "ix_core_outbox_open",
            ["queue", "due_at"],
            unique=False,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        )
