"""Sweeping away what time has made worthless."""

from __future__ import annotations

from sqlalchemy import delete, select

from trellis.db import database_now
from trellis.unit_of_work import unit_of_work
from trellis_auth.models import Attempt, Code, Session, User
from trellis_auth.services import endings
from trellis_auth.services.attempts import FORGOTTEN_AFTER
from trellis_auth.settings import AuthSettings

_DAY = 86_400
_ENDED_AT_ONCE = 500


def sweep() -> None:
    """End expired sessions; delete ended ones, expired codes, old counts, unverified accounts."""
    unverified = database_now(-AuthSettings.current().unverified_days * _DAY)
    with unit_of_work() as uow:
        for worthless in (
            delete(Session).where(Session.ended_at < database_now(-_DAY)),
            delete(Code).where(Code.expires_at < database_now()),
            delete(Attempt).where(
                Attempt.since < database_now(-FORGOTTEN_AFTER.total_seconds()),
                Attempt.next_at < database_now(),
            ),
            # Nobody who still waits for a code: a later sign-up goes on with the row of the first.
            delete(User).where(
                User.verified_at.is_(None),
                User.created_at < unverified,
                User.id.not_in(select(Code.user_id)),
            ),
        ):
            uow.session.execute(worthless, execution_options={"synchronize_session": False})
        expired = Session.expires_at < database_now()
        if endings.end(uow, "expired", expired, limit=_ENDED_AT_ONCE) == _ENDED_AT_ONCE:
            uow.enqueue("auth.sweep")
