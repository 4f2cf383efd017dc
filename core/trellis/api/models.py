"""The table of answers that were given to calls with an ``Idempotency-Key``."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db.base import Model


class StoredAnswer(Model):
    """One call: ``id`` is a hash of caller, operation and key, ``fingerprint`` one of the request.

    ``answer`` is encrypted under a key that is derived from the client's own.
    """

    __tablename__ = "core_idempotency"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    subject: Mapped[UUID | None] = mapped_column(index=True)
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)
