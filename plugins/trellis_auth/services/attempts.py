"""Counting what is tried at an address, in rows: they survive restarts and hold for all processes.

An address without an account is counted like any other, or the counting would tell them apart.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select

from trellis.db import database_now, insert_into
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_auth.errors import TooManyAttempts
from trellis_auth.models import Attempt
from trellis_auth.services.addresses import Address
from trellis_auth.settings import AuthSettings

MAIL: Final = "mail"
CODE: Final = "code"
SIGN_IN: Final = "sign_in"
PURPOSES: Final = (MAIL, CODE, SIGN_IN)
"""Also the order in which their rows are locked."""

FORGOTTEN_AFTER = timedelta(days=1)


def count_password(address: Address) -> None:
    """Count a password that is about to be tried. Raises TooManyAttempts while there is a wait.

    Committed before the password is looked at: however many try at once, each one is counted. The
    right password sets the count back, see `forget`.
    """
    settings = AuthSettings.current()
    with unit_of_work() as uow:
        attempt, now = _locked(uow, SIGN_IN, address)
        if attempt.next_at > now:
            wait = math.ceil((attempt.next_at - now).total_seconds())
            raise TooManyAttempts(f"Try again in {wait} seconds.", retry_after=wait)
        if attempt.since < now - FORGOTTEN_AFTER:
            attempt.count = 0
        attempt.count += 1
        attempt.since = now
        if attempt.count >= settings.sign_in_attempts:
            doublings = min(attempt.count - settings.sign_in_attempts, 30)
            wait = min(2**doublings, settings.sign_in_wait_seconds)
            attempt.next_at = now + timedelta(seconds=wait)


def count_guess(uow: UnitOfWork, address: Address) -> bool:
    """Count a guess at the present code of an address; whether it may still count as a guess."""
    attempt, _ = _locked(uow, CODE, address)
    attempt.count += 1
    return attempt.count <= AuthSettings.current().code_attempts


def count_mail(uow: UnitOfWork, address: Address) -> bool:
    """Count a mail that a stranger causes to an address; whether it may be sent."""
    attempt, now = _locked(uow, MAIL, address)
    if attempt.since < now - timedelta(hours=1):
        attempt.count, attempt.since = 0, now
    attempt.count += 1
    return attempt.count <= AuthSettings.current().mails_per_hour


def forget(uow: UnitOfWork, address_key: str, purposes: Sequence[str]) -> None:
    """Set counts of an address back, in the order given."""
    for purpose in purposes:
        uow.session.execute(
            delete(Attempt).where(
                Attempt.address == _hashed(address_key), Attempt.purpose == purpose
            )
        )


def _locked(uow: UnitOfWork, purpose: str, address: Address) -> tuple[Attempt, datetime]:
    """The counting row, made when there is none, and the database's time."""
    hashed = _hashed(address.key)
    statement = (
        select(Attempt, database_now())
        .where(Attempt.purpose == purpose, Attempt.address == hashed)
        .with_for_update()
    )
    # Others may make the row before us, and set the count back before we have it.
    while (row := uow.session.execute(statement).one_or_none()) is None:
        first = {"count": 0, "since": database_now(), "next_at": database_now()}
        new = insert_into(uow.session, Attempt).values(purpose=purpose, address=hashed, **first)
        uow.session.execute(new.on_conflict_do_nothing())
    attempt, now = row
    if attempt.since > now:  # the database's clock was set back: a wait is as long as it was
        attempt.next_at -= attempt.since - now
        attempt.since = now
    return attempt, now


def _hashed(address_key: str) -> str:
    return hashlib.sha256(address_key.encode()).hexdigest()
