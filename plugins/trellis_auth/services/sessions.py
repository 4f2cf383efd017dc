"""Sessions: begun by a password, kept by refreshing, looked at by their owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from trellis.contracts import EventSink, port_or_none
from trellis.db import database_now, new_id, utcnow
from trellis.observe.audit import record
from trellis.paging import Listing, Page
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_auth.errors import InvalidCredentials, InvalidRefreshToken, NotVerified
from trellis_auth.models import FIRST_PARTY_CLIENT, Device, DeviceInfo, Session
from trellis_auth.services import endings, tokens
from trellis_auth.services.addresses import normalise
from trellis_auth.services.credentials import confirmed, try_password
from trellis_auth.services.tokens import Tokens
from trellis_auth.settings import AuthSettings

_SESSIONS = Listing(
    select(
        Session.id,
        Device.installation_id,
        Device.name,
        Device.platform,
        Session.client_id,
        Session.created_at,
        Session.refreshed_at,
    )
    .join(Device, Device.id == Session.device_id)
    .where(
        Session.user_id == bindparam("user_id"),
        Session.ended_at.is_(None),
        Session.expires_at > database_now(),
    ),
    Session.created_at.desc(),
    Session.id.desc(),
)


@dataclass(frozen=True)
class SessionInfo:
    """What a person sees of a session; ``current`` is the one that asks."""

    id: UUID
    device: DeviceInfo
    client_id: str
    created_at: datetime
    last_seen_at: datetime
    current: bool


def sign_in(email: str, password: str, device: DeviceInfo) -> Tokens:
    """Begin a session.

    Raises InvalidInput, InvalidCredentials, NotVerified, TooManyAttempts, ServiceUnavailable.
    """
    tried = try_password(normalise(email), password)
    with unit_of_work() as uow:
        user = confirmed(uow, tried)
        if user is None:
            raise InvalidCredentials
        if user.verified_at is None:
            raise NotVerified
        session = new_session(user.id, _known(uow, user.id, device))
        uow.session.execute(insert(Session).values(session))
        record(uow, "auth.signed_in", subject=user.id)
        sink = port_or_none(EventSink)
        if sink is not None:
            sink.track(user.id, "signed_in", {"platform": device.platform})
    return tokens.issue(session)


def new_session(user_id: UUID, device_id: UUID) -> dict[str, Any]:
    """The row of a session that begins now."""
    now = utcnow()
    return {
        "id": new_id(),
        "user_id": user_id,
        "device_id": device_id,
        "client_id": FIRST_PARTY_CLIENT,
        "refresh_key": tokens.new_refresh_key(),
        "counter": 0,
        "created_at": now,
        "refreshed_at": now,
        "expires_at": now + timedelta(days=AuthSettings.current().session_days),
    }


def _known(uow: UnitOfWork, user_id: UUID, device: DeviceInfo) -> UUID:
    """The id of a person's device, noted when it is new; the caller holds the account's lock."""
    statement = select(Device).where(
        Device.user_id == user_id, Device.installation_id == device.installation_id
    )
    known = uow.session.execute(statement).scalar_one_or_none()
    if known is None:
        known = Device(
            id=new_id(),
            user_id=user_id,
            installation_id=device.installation_id,
            created_at=utcnow(),
        )
        uow.session.add(known)
    known.name, known.platform = device.name, device.platform
    uow.session.flush()
    return known.id


def refresh(token: str) -> Tokens:
    """A new pair for a refresh token. Raises InvalidRefreshToken.

    The token before the present one is answered for a short time, with the present one: so neither
    a lost answer nor two refreshes at once sign anybody out. Used later, a token is in two hands,
    and its session ends.
    """
    presented = tokens.read_refresh_token(token)
    if presented is None:
        raise InvalidRefreshToken
    window = AuthSettings.current().refresh_reuse_seconds
    with unit_of_work() as uow:
        session = uow.session.execute(
            select(
                Session.id,
                Session.user_id,
                Session.client_id,
                Session.refresh_key,
                Session.counter,
                (Session.refreshed_at > database_now(-window)).label("recent"),
            )
            .where(
                Session.id == presented.session_id,
                Session.ended_at.is_(None),
                Session.expires_at > database_now(),
            )
            .with_for_update()
        ).one_or_none()
        if session is None or not presented.is_genuine(session.refresh_key):
            raise InvalidRefreshToken
        facts = dict(session._mapping)
        if presented.counter == session.counter:
            facts["counter"] += 1
            uow.session.execute(
                update(Session)
                .where(Session.id == session.id)
                .values(counter=facts["counter"], refreshed_at=database_now())
            )
        elif presented.counter != session.counter - 1 or not session.recent:
            endings.end(uow, "refresh_token_reused", Session.id == session.id)
            raise InvalidRefreshToken
    return tokens.issue(facts)


def page_of_sessions(
    user_id: UUID, current: UUID | None, *, cursor: str | None, limit: int
) -> Page[SessionInfo]:
    """A person's sessions that go on, the newest first."""
    page = _SESSIONS.page(cursor=cursor, limit=limit, user_id=user_id)
    sessions = [
        SessionInfo(
            id=row.id,
            device=DeviceInfo(row.installation_id, row.name, row.platform),
            client_id=row.client_id,
            created_at=row.created_at,
            last_seen_at=row.refreshed_at,
            current=row.id == current,
        )
        for row in page.items
    ]
    return Page(sessions, page.next_cursor)
