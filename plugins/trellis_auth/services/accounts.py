"""Accounts: made, verified, looked at, closed.

What strangers can ask of an address is answered the same whether it has an account or not, and does
the same work. Until somebody verifies an address, an account under it is nobody's: the newest
sign-up replaces the password and the code of the one before, so that whoever signs up with a
stranger's address first has gained nothing when its owner does. Locks are taken in one order:
counts, account, the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from trellis.contracts import EventSink, port_or_none
from trellis.db import Compiled, fetch_one, insert_into, new_id, utcnow
from trellis.errors import NotFound
from trellis.observe.audit import record
from trellis.privacy import request_erasure
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_auth.errors import InvalidCode, WrongPassword
from trellis_auth.events import UserCreated
from trellis_auth.models import User
from trellis_auth.services import attempts, codes, endings, passwords
from trellis_auth.services.addresses import Address, normalise
from trellis_auth.services.credentials import confirmed, try_password
from trellis_auth.services.mails import send_mail
from trellis_auth.settings import AuthSettings

_ACCOUNT = Compiled(
    select(User.id, User.email, User.role, User.created_at).where(
        User.id == bindparam("user_id"), User.closed_at.is_(None)
    )
)


@dataclass(frozen=True)
class Account:
    """What a person sees of their account."""

    id: UUID
    email: str
    role: str
    created_at: datetime


def sign_up(email: str, password: str) -> None:
    """Begin an account: a mail brings a code, or the news that there is an account already.

    Raises InvalidInput for an address or a password that cannot be.
    """
    address = normalise(email)
    password_hash = passwords.hash_new(password)
    with unit_of_work() as uow:
        if not _may_mail(uow, address):
            return
        user = _claimed(uow, address)
        if user.verified_at is None:
            user.email = address.mailbox
            user.password_hash = password_hash
            _send_code(uow, user)
        else:
            assert user.email is not None
            send_mail("account_exists", user.email, user.id)


def resend_code(email: str) -> None:
    """Send a new code to an address that waits for one; the code before is worth nothing then."""
    address = normalise(email)
    with unit_of_work() as uow:
        if not _may_mail(uow, address):
            return
        user = _locked(uow, address)
        if user is not None and user.verified_at is None:
            _send_code(uow, user)


def verify(email: str, code: str) -> None:
    """Prove an address by the code that was sent to it. Raises InvalidCode; the guess counts."""
    address = normalise(email)
    with unit_of_work() as uow:
        counted = attempts.count_guess(uow, address)
        user = _locked(uow, address)
        if user is None or not counted or not codes.redeem(uow, user.id, codes.VERIFY, code):
            record(uow, "auth.code_refused", subject=user.id if user else None)
            raise InvalidCode
        user.verified_at = utcnow()
        _welcome(uow, user)


def create_operator(email: str, password: str) -> bool:
    """Make a verified operator, for whoever has the machine. False when the address has an account.

    Raises InvalidInput.
    """
    address = normalise(email)
    password_hash = passwords.hash_new(password)
    with unit_of_work() as uow:
        user = _claimed(uow, address)
        if user.verified_at is not None:
            return False
        user.email, user.password_hash = address.mailbox, password_hash
        user.role, user.verified_at = "operator", utcnow()
        codes.revoke(uow, user.id)
        record(uow, "auth.operator_created", subject=user.id)
        _welcome(uow, user)
    return True


def account(user_id: UUID) -> Account:
    """A person's account. Raises NotFound for one that was closed."""
    row = fetch_one(_ACCOUNT, user_id=user_id)
    if row is None:
        raise NotFound
    return Account(*row)


def close_account(user_id: UUID, password: str) -> UUID:
    """End a person's access at once and have everything of theirs erased; returns the erasure's id.

    The address is free again when this returns. Raises NotFound, WrongPassword, TooManyAttempts,
    ServiceUnavailable.
    """
    address = normalise(account(user_id).email)
    tried = try_password(address, password)
    with unit_of_work() as uow:
        if tried.right:
            attempts.forget(uow, address.key, [attempts.MAIL, attempts.CODE])
        user = confirmed(uow, tried)
        if user is None or user.id != user_id:
            raise WrongPassword
        endings.end_sessions(uow, user_id, "account_closed")
        codes.revoke(uow, user_id)
        user.email = user.email_key = user.password_hash = None
        user.closed_at = utcnow()
        record(uow, "auth.account_closed", subject=user.id)
        return request_erasure(uow, user_id)


def _may_mail(uow: UnitOfWork, address: Address) -> bool:
    """Count the mail, and give the code that it may bring its full number of guesses."""
    if not attempts.count_mail(uow, address):
        return False
    attempts.forget(uow, address.key, [attempts.CODE])
    return True


def _locked(uow: UnitOfWork, address: Address) -> User | None:
    statement = select(User).where(User.email_key == address.key).with_for_update()
    return uow.session.execute(statement).scalar_one_or_none()


def _claimed(uow: UnitOfWork, address: Address) -> User:
    """The account of an address, begun when there is none; of two at once one begins it."""
    while (user := _locked(uow, address)) is None:
        new = insert_into(uow.session, User).values(
            id=new_id(),
            role="user",
            email=address.mailbox,
            email_key=address.key,
            created_at=utcnow(),
        )
        uow.session.execute(new.on_conflict_do_nothing(index_elements=["email_key"]))
    return user


def _send_code(uow: UnitOfWork, user: User) -> None:
    assert user.email is not None
    code = codes.issue(uow, user.id, codes.VERIFY)
    minutes = AuthSettings.current().code_seconds // 60
    send_mail("verification", user.email, user.id, code=code, minutes=minutes)


def _welcome(uow: UnitOfWork, user: User) -> None:
    """What follows when an address is proved."""
    uow.publish(UserCreated(user.id))
    record(uow, "auth.account_verified", subject=user.id)
    sink = port_or_none(EventSink)
    if sink is not None:
        sink.track(user.id, "signed_up", {})
