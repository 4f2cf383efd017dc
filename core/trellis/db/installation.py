"""What this installation is known by, whichever of its machines asks."""

from __future__ import annotations

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db.base import Model


class Installation(Model):
    """One row.

    ``storage_id`` is the mark that the installation's object storage carries, ``secret_keys`` the
    fingerprints of the keys that have encrypted, with spaces between them, the newest last.
    """

    __tablename__ = "core_installation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    storage_id: Mapped[str | None] = mapped_column(String(36))
    secret_keys: Mapped[str | None] = mapped_column(Text)
