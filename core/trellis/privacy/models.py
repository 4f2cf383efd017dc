"""Tables of erasures."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db.base import Model


class Erasure(Model):
    """One person's erasure. ``subject`` is forgotten when the last part is done."""

    __tablename__ = "core_erasure"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[UUID | None]
    requested_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class ErasurePart(Model):
    """What one plugin has to erase; ``erased`` counts what it did."""

    __tablename__ = "core_erasure_part"

    erasure_id: Mapped[UUID] = mapped_column(ForeignKey("core_erasure.id"), primary_key=True)
    plugin: Mapped[str] = mapped_column(String(31), primary_key=True)
    completed_at: Mapped[datetime | None]
    erased: Mapped[dict[str, Any]]
