"""How much a user may keep: one row a user counts it, so uploads at once cannot share the rest."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import bindparam, select, update

from trellis.db import Compiled, fetch_value, insert_into
from trellis.unit_of_work import UnitOfWork
from trellis_media.errors import QuotaExceeded
from trellis_media.models import Usage
from trellis_media.settings import MediaSettings

_USED = Compiled(select(Usage.size).where(Usage.owner_id == bindparam("owner_id")))


def check(owner_id: UUID, size: int) -> None:
    """Refuse early what `reserve` would refuse. Raises `QuotaExceeded`."""
    used = fetch_value(_USED, owner_id=owner_id) or 0
    if used + size > MediaSettings.current().quota_bytes:
        raise _exceeded()


def reserve(uow: UnitOfWork, owner_id: UUID, size: int) -> None:
    """Count bytes, unless they are too many. Raises `QuotaExceeded`."""
    first = insert_into(uow.session, Usage).values(owner_id=owner_id, size=0)
    uow.session.execute(first.on_conflict_do_nothing())
    fits = update(Usage).where(
        Usage.owner_id == owner_id, Usage.size + size <= MediaSettings.current().quota_bytes
    )
    counted = uow.session.execute(fits.values(size=Usage.size + size).returning(Usage.size))
    if counted.first() is None:
        raise _exceeded()


def release(uow: UnitOfWork, owner_id: UUID, size: int) -> None:
    """Count bytes no longer."""
    uow.session.execute(
        update(Usage).where(Usage.owner_id == owner_id).values(size=Usage.size - size)
    )


def _exceeded() -> QuotaExceeded:
    quota = MediaSettings.current().quota_bytes
    return QuotaExceeded(f"All files together may have {quota} bytes.", quota_bytes=quota)
