"""The mark that tells an installation's storage from any other place.

The storage carries an object with a random id, the database the same id. So a machine whose storage
is a directory of its own, or a bucket of another installation, is found out before it serves.
"""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import select, update

from trellis.db.installation import Installation
from trellis.db.reads import fetch_value
from trellis.errors import NotFound
from trellis.storage.objects import ObjectStorage
from trellis.unit_of_work import unit_of_work

FOLDER = ".trellis/"
KEY = f"{FOLDER}storage-id"


class ForeignStorage(Exception):
    """The storage is not that of this installation; the text says what was found instead."""


def verify(storage: ObjectStorage) -> None:
    """Raise ForeignStorage when the database knows a mark and the storage does not carry it."""
    known = _known()
    if known is None:
        return
    found = _found(storage)
    if found is None:
        raise ForeignStorage("it does not carry this installation's mark")
    if found != known:
        raise ForeignStorage("it carries the mark of another installation")


def settle(storage: ObjectStorage) -> None:
    """Mark the storage at the first start of all, and verify it at every start.

    Whichever machine is first, the database keeps one mark: of two that start at once on a storage
    of their own each, one is refused. Raises ForeignStorage.
    """
    if _known() is None:
        if not storage.put_new(KEY, str(uuid4()).encode()) and _in_use(storage):
            raise ForeignStorage("it holds objects of another installation")
        with unit_of_work() as uow:
            uow.session.execute(
                update(Installation)
                .where(Installation.id == 1, Installation.storage_id.is_(None))
                .values(storage_id=_found(storage))
            )
    verify(storage)


def adopt(storage: ObjectStorage) -> None:
    """Make this storage the installation's, whatever mark it carried; the one before is refused."""
    mark = str(uuid4())
    storage.put(KEY, mark.encode())
    with unit_of_work() as uow:
        uow.session.execute(
            update(Installation).where(Installation.id == 1).values(storage_id=mark)
        )


def _known() -> str | None:
    mark: str | None = fetch_value(select(Installation.storage_id).where(Installation.id == 1))
    return mark


def _found(storage: ObjectStorage) -> str | None:
    try:
        return b"".join(storage.read(KEY)).decode(errors="replace")
    except NotFound:
        return None


def _in_use(storage: ObjectStorage) -> bool:
    """Whether there is more than the mark, which a first start that was cut short leaves alone."""
    return any(not key.startswith(FOLDER) for key in storage.list(""))
