"""The inbox: a message is put there, read page by page, and marked as read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update

from trellis.contracts import PushSink, port_or_none
from trellis.db import (
    Compiled,
    Found,
    fetch_all,
    fetch_one,
    fetch_value,
    insert_into,
    new_id,
    utcnow,
)
from trellis.errors import NotFound
from trellis.paging import Listing, Page
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_notifications.errors import InvalidMessage
from trellis_notifications.events import MessageCreated
from trellis_notifications.models import Message, Registration

# Together they fit into the 4 KB that push services take.
MAX_KIND, MAX_TITLE, MAX_BODY, MAX_DEDUPE = 100, 200, 1000, 200
MAX_DATA_BYTES = 2000

SHOWN = select(
    Message.id,
    Message.kind,
    Message.title,
    Message.body,
    Message.data,
    Message.created_at,
    Message.read_at,
)
"""What the owner of an inbox sees of a message."""

_MINE = SHOWN.where(Message.user_id == bindparam("user_id"))
_INBOX = Listing(_MINE, Message.id.desc())
_UNREAD = Listing(_MINE.where(Message.read_at.is_(None)), Message.id.desc())
_MESSAGE = Compiled(_MINE.where(Message.id == bindparam("message_id")))
_UNREAD_COUNT = Compiled(
    select(func.count()).where(Message.user_id == bindparam("user_id"), Message.read_at.is_(None))
)


def send_message(
    user_id: UUID,
    kind: str,
    title: str,
    body: str,
    data: Mapping[str, Any],
    *,
    dedupe: str | None = None,
) -> UUID:
    """See `trellis.contracts.Messenger.send`. Raises InvalidMessage."""
    _check(kind, title, body, data, dedupe)
    message_id = new_id()
    with unit_of_work() as uow:
        inserted = uow.session.scalar(
            insert_into(uow.session, Message)
            .values(
                id=message_id,
                user_id=user_id,
                kind=kind,
                title=title,
                body=body,
                data=dict(data),
                dedupe=dedupe,
                created_at=utcnow(),
            )
            .on_conflict_do_nothing(index_elements=["user_id", "dedupe"])
            .returning(Message.id)
        )
        if inserted is None:
            sent_before: UUID = fetch_value(
                select(Message.id).where(Message.user_id == user_id, Message.dedupe == dedupe)
            )
            return sent_before
        uow.publish(MessageCreated(message_id=message_id, user_id=user_id, kind=kind))
        uow.invalidate(inbox_tag(user_id))
        _enqueue_pushes(uow, message_id, user_id)
    return message_id


def list_messages(user_id: UUID, *, unread: bool, cursor: str | None, limit: int) -> Page[Found]:
    """A page of the user's inbox, the newest first; only what is unread, if asked."""
    listing = _UNREAD if unread else _INBOX
    return listing.page(cursor=cursor, limit=limit, user_id=user_id)


def get_message(user_id: UUID, message_id: UUID) -> Found:
    """One message of the user's inbox. Raises NotFound."""
    row = fetch_one(_MESSAGE, message_id=message_id, user_id=user_id)
    if row is None:
        raise NotFound
    return row


def unread_count(user_id: UUID) -> int:
    """How many messages of the user's inbox are unread."""
    return int(fetch_value(_UNREAD_COUNT, user_id=user_id))


def mark_read(user_id: UUID, message_id: UUID) -> None:
    """Note that the user has read a message; the first time counts. Raises NotFound."""
    mine = (Message.id == message_id, Message.user_id == user_id)
    with unit_of_work() as uow:
        changed = uow.session.scalar(
            update(Message)
            .where(*mine, Message.read_at.is_(None))
            .values(read_at=utcnow())
            .returning(Message.id)
            .execution_options(synchronize_session=False)
        )
        if changed is not None:
            uow.invalidate(inbox_tag(user_id))
        elif fetch_one(select(Message.id).where(*mine)) is None:
            raise NotFound


def add_messages(messages: Sequence[Mapping[str, Any]]) -> list[UUID]:
    """Put messages (user_id, kind, title, body, data) into inboxes, without events and pushes."""
    rows = [{"id": new_id(), "created_at": utcnow(), **message} for message in messages]
    with unit_of_work() as uow:
        if rows:
            uow.session.execute(insert(Message), rows)
        for user_id in {row["user_id"] for row in rows}:
            uow.invalidate(inbox_tag(user_id))
    return [row["id"] for row in rows]


def inbox_tag(user_id: UUID) -> str:
    """What is cached of the user's inbox."""
    return f"notifications.inbox:{user_id}"


def _enqueue_pushes(uow: UnitOfWork, message_id: UUID, user_id: UUID) -> None:
    """One piece of work for each device, so that the fault of one delays no other."""
    if port_or_none(PushSink) is None:
        return
    for row in fetch_all(select(Registration.id).where(Registration.user_id == user_id)):
        uow.enqueue(
            "notifications.push",
            subject=user_id,
            message_id=str(message_id),
            registration_id=str(row.id),
        )


def _check(kind: str, title: str, body: str, data: Mapping[str, Any], dedupe: str | None) -> None:
    limits = {
        "kind": (kind, MAX_KIND),
        "title": (title, MAX_TITLE),
        "body": (body, MAX_BODY),
        "dedupe": (dedupe or "", MAX_DEDUPE),
    }
    for name, (value, most) in limits.items():
        if len(value) > most:
            raise InvalidMessage(f"{name} is longer than {most} characters.")
        if not _can_be_stored(value):
            raise InvalidMessage(f"{name} holds NUL or half a character.")
    try:
        size = len(json.dumps(dict(data), allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError):
        raise InvalidMessage("data is not JSON.") from None
    if size > MAX_DATA_BYTES:
        raise InvalidMessage(f"data is longer than {MAX_DATA_BYTES} bytes.")


def _can_be_stored(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value
