"""The feed, the outbox, erasures and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trellis.db import UTCDateTime

revision = "5d181d03695b"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "core_audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("action", sa.String(length=80), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("subject_ref", sa.String(length=64), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_audit")),
    )
    with op.batch_alter_table("core_audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_core_audit_at"), ["at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_core_audit_subject_ref"), ["subject_ref"], unique=False
        )

    op.create_table(
        "core_erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=True),
        sa.Column("requested_at", UTCDateTime(), nullable=False),
        sa.Column("completed_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_erasure")),
    )
    op.create_table(
        "core_feed_entry",
        sa.Column(
            "entry",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=120), nullable=False),
        sa.Column("audience", sa.String(length=60), nullable=True),
        sa.Column("subject", sa.Uuid(), nullable=True),
        sa.Column("resource", sa.String(length=60), nullable=False),
        sa.Column("resource_id", sa.String(length=60), nullable=False),
        sa.Column("operation", sa.String(length=10), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_core_feed_entry")),
        sa.UniqueConstraint("event_id", name=op.f("uq_core_feed_entry_event_id")),
        sa.UniqueConstraint("position", name=op.f("uq_core_feed_entry_position")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("core_feed_entry", schema=None) as batch_op:
        batch_op.create_index(
            "ix_core_feed_entry_audience_position", ["audience", "position"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_core_feed_entry_subject"), ["subject"], unique=False)
        batch_op.create_index(
            "ix_core_feed_entry_unsequenced",
            ["entry"],
            unique=False,
            sqlite_where=sa.text("position IS NULL"),
            postgresql_where=sa.text("position IS NULL"),
        )

    head = op.create_table(
        "core_feed_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_feed_head")),
    )
    # the one row is the sequencer's lock: it has to be there
    op.bulk_insert(head, [{"id": 1, "position": 0}])
    op.create_table(
        "core_outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.String(length=120), nullable=False),
        sa.Column("queue", sa.String(length=10), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=True),
        sa.Column("unique_key", sa.String(length=200), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.Column("done_at", UTCDateTime(), nullable=True),
        sa.Column("dead_at", UTCDateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_outbox")),
        sa.UniqueConstraint("unique_key", name=op.f("uq_core_outbox_unique_key")),
    )
    with op.batch_alter_table("core_outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_core_outbox_done_at"), ["done_at"], unique=False)
        batch_op.create_index(
            "ix_core_outbox_open",
            ["queue", "due_at"],
            unique=False,
            sqlite_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_core_outbox_subject"), ["subject"], unique=False)

    op.create_table(
        "core_erasure_part",
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.String(length=31), nullable=False),
        sa.Column("completed_at", UTCDateTime(), nullable=True),
        sa.Column("erased", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["core_erasure.id"], name=op.f("fk_core_erasure_part_erasure_id")
        ),
        sa.PrimaryKeyConstraint("erasure_id", "plugin", name=op.f("pk_core_erasure_part")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("core_erasure_part")
    with op.batch_alter_table("core_outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_outbox_subject"))
        batch_op.drop_index(
            "ix_core_outbox_open",
            sqlite_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_core_outbox_done_at"))

    op.drop_table("core_outbox")
    op.drop_table("core_feed_head")
    with op.batch_alter_table("core_feed_entry", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_core_feed_entry_unsequenced",
            sqlite_where=sa.text("position IS NULL"),
            postgresql_where=sa.text("position IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_core_feed_entry_subject"))
        batch_op.drop_index("ix_core_feed_entry_audience_position")

    op.drop_table("core_feed_entry")
    op.drop_table("core_erasure")
    with op.batch_alter_table("core_audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_audit_subject_ref"))
        batch_op.drop_index(batch_op.f("ix_core_audit_at"))

    op.drop_table("core_audit")
