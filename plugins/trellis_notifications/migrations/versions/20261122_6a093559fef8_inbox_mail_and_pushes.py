"""Inbox, mail and pushes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import trellis.db

revision = "6a093559fef8"
down_revision = None
branch_labels = None
depends_on = None

_UNREAD = sa.text("read_at IS NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "notifications_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("dedupe", sa.String(length=200), nullable=True),
        sa.Column("created_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.Column("read_at", trellis.db.UTCDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications_message")),
        sa.UniqueConstraint(
            "user_id", "dedupe", name=op.f("uq_notifications_message_user_id_dedupe")
        ),
    )
    op.create_index("ix_notifications_message_inbox", "notifications_message", ["user_id", "id"])
    op.create_index(
        "ix_notifications_message_unread",
        "notifications_message",
        ["user_id", "id"],
        sqlite_where=_UNREAD,
        postgresql_where=_UNREAD,
    )
    op.create_table(
        "notifications_registration",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("installation_id", sa.String(length=100), nullable=False),
        sa.Column("platform", sa.String(length=20), nullable=False),
        sa.Column("push_token", sa.String(length=2000), nullable=False),
        sa.Column("registered_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications_registration")),
        sa.UniqueConstraint("push_token", name=op.f("uq_notifications_registration_push_token")),
        sa.UniqueConstraint(
            "user_id",
            "installation_id",
            name=op.f("uq_notifications_registration_user_id_installation_id"),
        ),
    )
    op.create_table(
        "notifications_mail",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("address", trellis.db.Secret(), nullable=False),
        sa.Column("subject", trellis.db.Secret(), nullable=False),
        sa.Column("text", trellis.db.Secret(), nullable=False),
        sa.Column("created_at", trellis.db.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications_mail")),
    )
    op.create_index("ix_notifications_mail_created_at", "notifications_mail", ["created_at"])
    op.create_index("ix_notifications_mail_subject_id", "notifications_mail", ["subject_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("notifications_mail")
    op.drop_table("notifications_registration")
    op.drop_table("notifications_message")
