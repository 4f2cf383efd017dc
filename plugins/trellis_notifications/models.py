"""Tables of the plugin."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db import Model, Secret

UNREAD = "read_at IS NULL"


class Message(Model):
    """One message in one user's inbox. Ids ascend with time, so they also order the inbox."""

    __tablename__ = "notifications_message"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]
    dedupe: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("user_id", "dedupe"),
        Index("ix_notifications_message_inbox", "user_id", "id"),
        Index(
            "ix_notifications_message_unread",
            "user_id",
            "id",
            sqlite_where=text(UNREAD),
            postgresql_where=text(UNREAD),
        ),
    )


class Registration(Model):
    """An installation of the app that gets one user's pushes. A token has one owner at a time."""

    __tablename__ = "notifications_registration"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    installation_id: Mapped[str] = mapped_column(String(100))
    platform: Mapped[str] = mapped_column(String(20))
    push_token: Mapped[str] = mapped_column(String(2000), unique=True)
    registered_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("user_id", "installation_id"),)


class Mail(Model):
    """A mail that is still to be delivered; the row goes when it is.

    Address, subject and text may hold a person's data and a code that lets somebody in, so they
    never lie in clear. ``subject_id`` is the person whom it concerns.
    """

    __tablename__ = "notifications_mail"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID | None] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(Secret)
    subject: Mapped[str] = mapped_column(Secret)
    text: Mapped[str] = mapped_column(Secret)
    created_at: Mapped[datetime] = mapped_column(index=True)
