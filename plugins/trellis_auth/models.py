"""The tables of auth. What is only compared is hashed; what must be read back is a `Secret`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db import Model, Secret

EMAIL_LENGTH = 254
INSTALLATION_LENGTH = 64
DEVICE_NAME_LENGTH = 100
PLATFORMS = ("ios", "android", "web", "other")

FIRST_PARTY_CLIENT = "trellis-app"
"""Client id of the team's own app, which needs no registration."""


class User(Model):
    """An account. One that was closed keeps nothing of the person but the id, until it is erased.

    ``email`` is where mail goes, ``email_key`` the form under which an address is unique.
    """

    __tablename__ = "auth_user"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(10))
    email: Mapped[str | None] = mapped_column(String(EMAIL_LENGTH))
    email_key: Mapped[str | None] = mapped_column(String(EMAIL_LENGTH), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        # What the sweep looks for.
        Index(
            "ix_auth_user_unverified",
            "created_at",
            sqlite_where=text("verified_at IS NULL"),
            postgresql_where=text("verified_at IS NULL"),
        ),
    )


class Code(Model):
    """The one code of a person for a purpose; a new one takes its place.

    Six digits are guessed from a plain hash at once, so ``digest`` is keyed with the row's own key.
    """

    __tablename__ = "auth_code"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_user.id"), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    key: Mapped[str] = mapped_column(Secret)
    digest: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Attempt(Model):
    """How often something was tried at an address, whether it has an account or not.

    ``address`` is a hash: what strangers type is nobody's list.
    """

    __tablename__ = "auth_attempt"

    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    since: Mapped[datetime] = mapped_column(index=True)
    next_at: Mapped[datetime]
    """Before this time there is no further attempt."""


class Device(Model):
    """A person's installation of the app, by the random id that the app sends."""

    __tablename__ = "auth_device"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_user.id"))
    installation_id: Mapped[str] = mapped_column(String(INSTALLATION_LENGTH))
    name: Mapped[str] = mapped_column(String(DEVICE_NAME_LENGTH))
    platform: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("user_id", "installation_id"),)


@dataclass(frozen=True)
class DeviceInfo:
    """What an app says of the device that it runs on."""

    installation_id: str
    name: str
    platform: str


class Session(Model):
    """A sign-in of a device. Its refresh tokens are made from ``refresh_key`` and ``counter``.

    No token is stored: the present one can be made again, which answers a repeated refresh.
    """

    __tablename__ = "auth_session"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_user.id"))
    device_id: Mapped[UUID] = mapped_column(ForeignKey("auth_device.id"), index=True)
    client_id: Mapped[str] = mapped_column(String(100))
    refresh_key: Mapped[str] = mapped_column(Secret)
    counter: Mapped[int]
    created_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None] = mapped_column(index=True)

    __table_args__ = (Index("ix_auth_session_user_id_created_at", "user_id", "created_at"),)


class SigningKey(Model):
    """A key pair that signs access tokens; the one with the highest number signs, all verify."""

    __tablename__ = "auth_signing_key"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    public_jwk: Mapped[dict[str, Any]]
    private_jwk: Mapped[str] = mapped_column(Secret)
    created_at: Mapped[datetime]
