"""The table of entries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column
from trellis.db import Model


class Entry(Model):
    """What somebody wrote, or a photo that somebody uploaded."""

    __tablename__ = "guestbook_entry"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    author_id: Mapped[UUID] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)
    photo_id: Mapped[UUID | None] = mapped_column(unique=True)
    written_at: Mapped[datetime] = mapped_column(index=True)
