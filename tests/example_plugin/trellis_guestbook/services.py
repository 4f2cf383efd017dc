"""The verbs of the guestbook; the only place that writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, select
from trellis.contracts import Messenger, port_or_none
from trellis.db import Compiled, fetch_all, fetch_one, fetch_value, new_id, utcnow
from trellis.errors import NotFound
from trellis.paging import Listing, Page
from trellis.unit_of_work import UnitOfWork, unit_of_work

from trellis_guestbook.errors import TextTooLong
from trellis_guestbook.events import EntryWritten
from trellis_guestbook.models import Entry
from trellis_guestbook.settings import GuestbookSettings

_SHOWN = select(Entry.id, Entry.text, Entry.photo_id, Entry.written_at)
_ENTRY = Compiled(_SHOWN.where(Entry.id == bindparam("entry_id")))
_ENTRIES = Listing(_SHOWN, Entry.id.desc())


def list_entries(*, cursor: str | None, limit: int) -> Page[Any]:
    """A page of entries, the newest first."""
    return _ENTRIES.page(cursor=cursor, limit=limit)


def get_entry(entry_id: UUID) -> Any:
    """One entry. Raises NotFound."""
    found = fetch_one(_ENTRY, entry_id=entry_id)
    if found is None:
        raise NotFound
    return found


def write(author_id: UUID, text: str) -> UUID:
    """Write an entry; returns its id. Raises TextTooLong."""
    most = GuestbookSettings.current().max_length
    if len(text) > most:
        raise TextTooLong(max_length=most)
    with unit_of_work() as uow:
        [entry_id] = _add(uow, author_id, [text])
        uow.enqueue(
            "guestbook.thank",
            unique=f"guestbook.thank:{author_id}",
            subject=author_id,
            author_id=str(author_id),
        )
    return entry_id


def write_many(author_id: UUID, texts: Sequence[str]) -> list[UUID]:
    """Write entries without thanks; for factories."""
    with unit_of_work() as uow:
        return _add(uow, author_id, texts)


def enter_photo(photo_id: UUID, owner_id: UUID) -> None:
    """Enter somebody's photo, once."""
    with unit_of_work() as uow:
        # The unit holds one delivery of the event at a time on SQLite; elsewhere the unique
        # column stops a second one, which is then repeated and finds the first one's entry.
        if not uow.session.scalar(select(exists().where(Entry.photo_id == photo_id))):
            _add(uow, owner_id, ["A new photo."], photo_id)


def thank(author_id: UUID) -> None:
    """Thank somebody in the inbox, unless nothing of that person is left."""
    messenger = port_or_none(Messenger)
    if messenger is None:
        return
    with unit_of_work() as uow:
        if uow.session.scalar(select(exists().where(Entry.author_id == author_id))):
            messenger.send(
                author_id,
                "guestbook.thanks",
                "Thank you!",
                "You have written in the guestbook.",
                {},
                dedupe="guestbook.thanks",
            )


def remove(entry_id: UUID, author_id: UUID | None = None) -> None:
    """Remove an entry; of ``author_id`` only, when given. Raises NotFound."""
    statement = delete(Entry).where(Entry.id == entry_id)
    if author_id is not None:
        statement = statement.where(Entry.author_id == author_id)
    with unit_of_work() as uow:
        if uow.session.scalar(statement.returning(Entry.id)) is None:
            raise NotFound


def drop_old_entries() -> None:
    """Remove what is past `guestbook.keep_days`."""
    kept_from = utcnow() - timedelta(days=GuestbookSettings.current().keep_days)
    with unit_of_work() as uow:
        uow.session.execute(delete(Entry).where(Entry.written_at < kept_from))


def export_user(user_id: UUID) -> Mapping[str, Any]:
    """What somebody wrote."""
    rows = fetch_all(_SHOWN.where(Entry.author_id == user_id).order_by(Entry.id))
    return {
        "entries": [
            {"id": str(row.id), "text": row.text, "written_at": row.written_at.isoformat()}
            for row in rows
        ]
    }


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Remove what somebody wrote; says how much it was."""
    with unit_of_work() as uow:
        _ = uow.session  # begun, so that what is counted is what is removed
        count = fetch_value(
            select(func.count()).select_from(Entry).where(Entry.author_id == user_id)
        )
        uow.session.execute(delete(Entry).where(Entry.author_id == user_id))
    return {"entries": int(count)}


def _add(
    uow: UnitOfWork, author_id: UUID, texts: Sequence[str], photo_id: UUID | None = None
) -> list[UUID]:
    entries = [
        Entry(id=new_id(), author_id=author_id, text=text, photo_id=photo_id, written_at=utcnow())
        for text in texts
    ]
    uow.session.add_all(entries)
    for entry in entries:
        uow.publish(EntryWritten(entry.id, author_id))
    return [entry.id for entry in entries]
