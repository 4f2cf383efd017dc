"""Which installations of the app get a user's pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, insert, not_
from sqlalchemy.exc import IntegrityError

from trellis.contracts import Identity, Principal, port
from trellis.db import database_now, insert_into, new_id
from trellis.errors import Conflict, NotFound, Unauthenticated
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_notifications.models import Registration

# Of those who take one token at one moment, one gets through each time.
_TRIES = 20


def register(
    caller: Principal, installation_id: str, platform: str, push_token: str
) -> Row[str, str, datetime]:
    """Send the user's pushes to this installation from now on, and nobody else's to its token.

    Registering again renews it: apps do so at each start. Raises Unauthenticated when the caller's
    access has ended meanwhile, Conflict when others keep taking the same token at the same moment.
    """
    with unit_of_work() as uow:
        # Asked inside the transaction, which `uow.session` begins: a request that was long on its
        # way must not bring back what a sign-out or an erasure has removed.
        session = uow.session
        if not port(Identity).is_alive(caller):
            raise Unauthenticated
        for _ in range(_TRIES):
            try:
                with session.begin_nested():
                    return _take(uow, caller.id, installation_id, platform, push_token)
            except IntegrityError:
                # Somebody registered the token between our two statements; now we can see that row.
                continue
        raise Conflict("The token is being registered by somebody else.")


def unregister(user_id: UUID, installation_id: str) -> None:
    """Send no more pushes to this installation of the user's. Raises NotFound."""
    with unit_of_work() as uow:
        if not _remove(uow, _own(user_id, installation_id)):
            raise NotFound


def forget_device(user_id: UUID, installation_id: str, until: datetime) -> None:
    """Stop the pushes to a device where a session ended at ``until`` (the database's time).

    A registration that was made after that belongs to the next session and stays.
    """
    with unit_of_work() as uow:
        _remove(uow, and_(_own(user_id, installation_id), Registration.registered_at <= until))


def add_registrations(registrations: Sequence[Mapping[str, Any]]) -> None:
    """Make many registrations (user_id, installation_id, platform, push_token) at once."""
    rows = [{"id": new_id(), **registration} for registration in registrations]
    with unit_of_work() as uow:
        if rows:
            uow.session.execute(insert(Registration).values(registered_at=database_now()), rows)


def _own(user_id: UUID, installation_id: str) -> ColumnElement[bool]:
    return and_(Registration.user_id == user_id, Registration.installation_id == installation_id)


def _take(
    uow: UnitOfWork, user_id: UUID, installation_id: str, platform: str, push_token: str
) -> Row[str, str, datetime]:
    others = not_(_own(user_id, installation_id))
    _remove(uow, and_(Registration.push_token == push_token, others))
    told = {
        "platform": platform,
        "push_token": push_token,
        "registered_at": database_now(),
    }
    return uow.session.execute(
        insert_into(uow.session, Registration)
        .values(id=new_id(), user_id=user_id, installation_id=installation_id, **told)
        .on_conflict_do_update(index_elements=["user_id", "installation_id"], set_=told)
        .returning(Registration.installation_id, Registration.platform, Registration.registered_at)
    ).one()


def _remove(uow: UnitOfWork, which: ColumnElement[bool]) -> int:
    removed = uow.session.scalars(
        delete(Registration)
        .where(which)
        .returning(Registration.id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())
