"""How sessions end: in one place, with one event each, whatever ended them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from trellis.contracts import caller_tag
from trellis.db import database_now
from trellis.errors import NotFound
from trellis.observe.audit import record
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_auth.events import SessionEnded
from trellis_auth.models import Device, Session

Reason = Literal["by_user", "expired", "refresh_token_reused", "account_closed", "restored"]

_ENDED_AT_ONCE = 500


def end_own_session(user_id: UUID, session_id: UUID) -> None:
    """End one of a person's sessions. Raises NotFound when it is not theirs or has ended."""
    with unit_of_work() as uow:
        if not end(uow, "by_user", Session.id == session_id, Session.user_id == user_id):
            raise NotFound


def end_all_sessions(user_id: UUID) -> None:
    """End all sessions of a person, the present one included."""
    with unit_of_work() as uow:
        end_sessions(uow, user_id, "by_user")


def end_sessions(uow: UnitOfWork, user_id: UUID, reason: Reason) -> None:
    """End all sessions of a person."""
    end(uow, reason, Session.user_id == user_id)


def end_sessions_of_everybody() -> int:
    """End every session, because the database was restored; returns how many."""
    ended, last = 0, _ENDED_AT_ONCE
    while last == _ENDED_AT_ONCE:
        with unit_of_work() as uow:
            last = end(uow, "restored", limit=_ENDED_AT_ONCE)
        ended += last
    return ended


def end(
    uow: UnitOfWork, reason: Reason, *which: ColumnElement[bool], limit: int | None = None
) -> int:
    """End those of the sessions that go on, at most `limit`; returns how many.

    The devices are locked, too: of two sessions of one device that end at once, the second to get
    the lock leaves the device behind. In one order for all, so that nobody waits in a circle.
    """
    ending = uow.session.execute(
        select(Session.id, Session.user_id, Session.device_id, Device.installation_id)
        .join(Device, Device.id == Session.device_id)
        .where(Session.ended_at.is_(None), *which)
        .order_by(Session.device_id, Session.id)
        .limit(limit)
        .with_for_update(of=[Session, Device])
    ).all()
    uow.session.execute(
        update(Session)
        .where(Session.id.in_([row.id for row in ending]))
        .values(ended_at=database_now())
    )
    in_use = set(
        uow.session.scalars(
            select(Session.device_id).where(
                Session.device_id.in_({row.device_id for row in ending}),
                Session.ended_at.is_(None),
                Session.expires_at > database_now(),
            )
        )
    )
    for row in ending:
        left = None if row.device_id in in_use else row.installation_id
        uow.invalidate(caller_tag(row.id), everywhere=True)
        uow.publish(SessionEnded(row.id, row.user_id, left))
        record(uow, "auth.session_ended", subject=row.user_id, reason=reason)
    return len(ending)
