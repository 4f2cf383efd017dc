"""Accounts and sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trellis.db import Secret, UTCDateTime

revision = "139b158a9d0f"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_attempt",
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "address", name="pk_auth_attempt"),
    )
    op.create_index("ix_auth_attempt_since", "auth_attempt", ["since"])

    op.create_table(
        "auth_signing_key",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("public_jwk", sa.JSON(), nullable=False),
        sa.Column("private_jwk", Secret(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_auth_signing_key"),
        sa.UniqueConstraint("number", name="uq_auth_signing_key_number"),
    )

    op.create_table(
        "auth_user",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("email", sa.String(254), nullable=True),
        sa.Column("email_key", sa.String(254), nullable=True),
        sa.Column("password_hash", sa.String(200), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("verified_at", UTCDateTime(), nullable=True),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_auth_user"),
        sa.UniqueConstraint("email_key", name="uq_auth_user_email_key"),
    )
    op.create_index(
        "ix_auth_user_unverified",
        "auth_user",
        ["created_at"],
        sqlite_where=sa.text("verified_at IS NULL"),
        postgresql_where=sa.text("verified_at IS NULL"),
    )

    op.create_table(
        "auth_code",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("key", Secret(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["auth_user.id"], name="fk_auth_code_user_id"),
        sa.PrimaryKeyConstraint("user_id", "purpose", name="pk_auth_code"),
    )
    op.create_index("ix_auth_code_expires_at", "auth_code", ["expires_at"])

    op.create_table(
        "auth_device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("installation_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("platform", sa.String(10), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["auth_user.id"], name="fk_auth_device_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_auth_device"),
        sa.UniqueConstraint(
            "user_id", "installation_id", name="uq_auth_device_user_id_installation_id"
        ),
    )

    op.create_table(
        "auth_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.String(100), nullable=False),
        sa.Column("refresh_key", Secret(), nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("refreshed_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["auth_device.id"], name="fk_auth_session_device_id"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["auth_user.id"], name="fk_auth_session_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_auth_session"),
    )
    op.create_index("ix_auth_session_device_id", "auth_session", ["device_id"])
    op.create_index("ix_auth_session_ended_at", "auth_session", ["ended_at"])
    op.create_index("ix_auth_session_expires_at", "auth_session", ["expires_at"])
    op.create_index("ix_auth_session_user_id_created_at", "auth_session", ["user_id", "created_at"])


def downgrade() -> None:
    for table in ("session", "device", "code", "user", "signing_key", "attempt"):
        op.drop_table(f"auth_{table}")
