"""Tables of the plugin. The bytes are in the `BlobStore`, under ``media/<asset id>/``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db import Model

PROCESSING = text("state = 'processing'")
State = Literal["processing", "ready", "failed"]
Visibility = Literal["private", "public"]
VISIBILITIES: tuple[Visibility, ...] = ("private", "public")


class Asset(Model):
    """An uploaded picture. Ids ascend with time, so they also order the owner's list.

    Width and height are as shown, upright. ``renditions`` is keyed by name; each has width, height,
    size in bytes and sha256. ``failure`` says why the state is ``failed``.
    """

    __tablename__ = "media_asset"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    state: Mapped[State] = mapped_column(String(10))
    failure: Mapped[str | None] = mapped_column(String(20))
    visibility: Mapped[Visibility] = mapped_column(String(10), server_default="private")
    content_type: Mapped[str] = mapped_column(String(40))
    filename: Mapped[str] = mapped_column(String(200))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    width: Mapped[int]
    height: Mapped[int]
    thumbhash: Mapped[str | None] = mapped_column(String(60))
    renditions: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_media_asset_owner", "owner_id", "id"),
        # Few at any time, and looked for each minute.
        Index(
            "ix_media_asset_processing", "id", sqlite_where=PROCESSING, postgresql_where=PROCESSING
        ),
    )


class Usage(Model):
    """How many bytes of originals a user keeps; the row that two uploads at once wait for."""

    __tablename__ = "media_usage"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
