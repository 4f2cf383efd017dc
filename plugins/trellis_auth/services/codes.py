"""Codes that prove an address: six digits, sent by mail, for a few guesses in a few minutes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

from sqlalchemy import delete, insert, select

from trellis.db import database_now
from trellis.unit_of_work import UnitOfWork
from trellis_auth.models import Code
from trellis_auth.settings import AuthSettings

VERIFY: Final = "verify"


def issue(uow: UnitOfWork, user_id: UUID, purpose: str) -> str:
    """A new code; the one before is worth nothing now. The caller holds the account's lock."""
    code = f"{secrets.randbelow(1_000_000):06}"
    key = secrets.token_urlsafe(32)
    _drop(uow, user_id, purpose)
    uow.session.execute(
        insert(Code).values(
            user_id=user_id,
            purpose=purpose,
            key=key,
            digest=_digest(key, code),
            expires_at=database_now(AuthSettings.current().code_seconds),
        )
    )
    return code


def redeem(uow: UnitOfWork, user_id: UUID, purpose: str, code: str) -> bool:
    """Whether this is the person's present code; if so it is used up. The caller holds the lock."""
    row = uow.session.execute(
        select(Code.key, Code.digest).where(
            Code.user_id == user_id, Code.purpose == purpose, Code.expires_at > database_now()
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, _digest(row.key, code)):
        return False
    _drop(uow, user_id, purpose)
    return True


def revoke(uow: UnitOfWork, user_id: UUID) -> None:
    """Make all codes of a person worthless."""
    uow.session.execute(delete(Code).where(Code.user_id == user_id))


def _drop(uow: UnitOfWork, user_id: UUID, purpose: str) -> None:
    uow.session.execute(delete(Code).where(Code.user_id == user_id, Code.purpose == purpose))


def _digest(key: str, code: str) -> str:
    return hmac.digest(key.encode(), code.encode(), hashlib.sha256).hex()
