"""What auth holds of one person: given out, and erased."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, Delete, delete, select

from trellis.contracts import caller_tag
from trellis.db import Found, fetch_all, fetch_one, fetch_value
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_auth.models import Code, Device, Session, User
from trellis_auth.services import attempts


def export_user(user_id: UUID) -> Mapping[str, Any]:
    """Account, devices and sessions of a person, as JSON values; empty when there is nothing."""
    user = fetch_one(
        select(User.email, User.role, User.created_at, User.verified_at).where(User.id == user_id)
    )
    if user is None:
        return {}
    devices = select(Device.installation_id, Device.name, Device.platform, Device.created_at).where(
        Device.user_id == user_id
    )
    sessions = (
        select(
            Session.id,
            Device.installation_id,
            Session.client_id,
            Session.created_at,
            Session.refreshed_at,
            Session.ended_at,
        )
        .join(Device, Device.id == Session.device_id)
        .where(Session.user_id == user_id)
    )
    return {
        "account": _plain(user),
        "devices": [_plain(row) for row in fetch_all(devices.order_by(Device.id))],
        "sessions": [_plain(row) for row in fetch_all(sessions.order_by(Session.id))],
    }


def _plain(row: Found) -> dict[str, Any]:
    return {name: _json(value) for name, value in row._mapping.items()}


def _json(value: Any) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Delete everything about a person; what they could do has ended with it."""
    address_key = fetch_value(select(User.email_key).where(User.id == user_id))
    with unit_of_work() as uow:
        if address_key is not None:
            attempts.forget(uow, address_key, attempts.PURPOSES)
        for session_id in uow.session.scalars(select(Session.id).where(Session.user_id == user_id)):
            uow.invalidate(caller_tag(session_id), everywhere=True)
        return {
            "sessions": _count(uow, delete(Session).where(Session.user_id == user_id)),
            "devices": _count(uow, delete(Device).where(Device.user_id == user_id)),
            "codes": _count(uow, delete(Code).where(Code.user_id == user_id)),
            "accounts": _count(uow, delete(User).where(User.id == user_id)),
        }


def _count(uow: UnitOfWork, statement: Delete) -> int:
    return cast("CursorResult[Any]", uow.session.execute(statement)).rowcount
