"""Trying a password: counted, then looked at, then believed only while it is still the password."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, select

from trellis.db import Compiled, fetch_one
from trellis.observe.audit import record
from trellis.unit_of_work import UnitOfWork
from trellis_auth.models import User
from trellis_auth.services import attempts, passwords
from trellis_auth.services.addresses import Address

_PASSWORD = Compiled(
    select(User.id, User.password_hash).where(User.email_key == bindparam("email_key"))
)


@dataclass(frozen=True)
class Tried:
    """A password that was tried at an address; ``user_id`` is None where there is no account."""

    address: Address
    user_id: UUID | None
    password_hash: str | None
    right: bool


def try_password(address: Address, password: str) -> Tried:
    """Try a password, before a unit of work begins. Raises TooManyAttempts, ServiceUnavailable.

    An address without an account is counted and takes as long.
    """
    with passwords.turn():
        # Inside the turn: whoever is sent away because too many wait has not tried.
        attempts.count_password(address)
        found = fetch_one(_PASSWORD, email_key=address.key)
        user_id, password_hash = found or (None, None)
        right = passwords.verify(password_hash, password)
    return Tried(address, user_id, password_hash, right)


def confirmed(uow: UnitOfWork, tried: Tried) -> User | None:
    """The account, locked, if the password was right and has not changed meanwhile.

    The attempt is forgotten then; else it is noted in the audit trail.
    """
    if tried.right:
        attempts.forget(uow, tried.address.key, [attempts.SIGN_IN])
    user = uow.session.execute(
        select(User).where(User.email_key == tried.address.key).with_for_update()
    ).scalar_one_or_none()
    if user is None or not tried.right or user.password_hash != tried.password_hash:
        record(uow, "auth.password_refused", subject=user.id if user else None)
        return None
    return user
