"""Many accounts and sessions at once, as if each had been made one by one; for factories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from trellis.db import new_id, utcnow
from trellis.unit_of_work import unit_of_work
from trellis_auth.models import Device, DeviceInfo, Session, User
from trellis_auth.services import passwords, tokens
from trellis_auth.services.addresses import normalise
from trellis_auth.services.sessions import new_session
from trellis_auth.services.tokens import Tokens


def add_users(emails: Sequence[str], password: str, *, role: str = "user") -> list[UUID]:
    """Make verified accounts with one password, which is hashed once; returns their ids in order.

    Nobody is told: no mail, no event. An address that has an account fails them all.
    """
    password_hash = passwords.hash_new(password)
    now = utcnow()
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "role": role,
            "email": address.mailbox,
            "email_key": address.key,
            "password_hash": password_hash,
            "created_at": now,
            "verified_at": now,
        }
        for address in map(normalise, emails)
    ]
    with unit_of_work() as uow:
        if rows:
            uow.session.execute(insert(User), rows)
    return [row["id"] for row in rows]


def add_sessions(user_ids: Sequence[UUID], device: DeviceInfo) -> list[Tokens]:
    """Make a session of each account on such a device; returns their tokens in order.

    The accounts differ: an installation is known to each of them once.
    """
    devices = [
        {"id": new_id(), "user_id": user_id, "created_at": utcnow(), **asdict(device)}
        for user_id in user_ids
    ]
    sessions = [new_session(row["user_id"], row["id"]) for row in devices]
    with unit_of_work() as uow:
        if devices:
            uow.session.execute(insert(Device), devices)
            uow.session.execute(insert(Session), sessions)
    return [tokens.issue(session) for session in sessions]
