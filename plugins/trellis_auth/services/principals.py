"""The `Identity` port: from an access token to the person who is calling."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Collection

from sqlalchemy import bindparam, select

from trellis.contracts import Principal, every_permission
from trellis.db import Compiled, Found, database_now, fetch_all, fetch_one
from trellis.errors import Unauthenticated
from trellis.unit_of_work import unit_of_work
from trellis_auth.models import Device, Session, User
from trellis_auth.services import accounts, endings
from trellis_auth.services.tokens import AccessClaims, read_access_token

_MOST_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 300.0
# The clocks of processes that are ready differ from the database's by less (/health/ready).
_SKEW = 30.0

_goes_on = (
    Session.ended_at.is_(None),
    Session.expires_at > database_now(),
    User.closed_at.is_(None),
)
_of_session = (
    select(Session.user_id, User.role, Device.installation_id, Session.expires_at)
    .join(User, User.id == Session.user_id)
    .join(Device, Device.id == Session.device_id)
    .where(Session.id == bindparam("session_id"), *_goes_on)
)
_alive = Compiled(_of_session)
_kept_alive = _of_session.with_for_update(read=True, of=Session)
_all_alive = Compiled(
    select(Session.id, Session.user_id, User.role)
    .join(User, User.id == Session.user_id)
    .where(Session.id.in_(bindparam("session_ids", expanding=True)), *_goes_on)
)


class SessionIdentity:
    """Implements `trellis.contracts.Identity`.

    That a token is genuine is remembered until it expires. Whether its session goes on is read from
    the database, and remembered only by processes that hear of its end before that is answered.
    """

    def __init__(self) -> None:
        self._remembered: dict[bytes, AccessClaims] = {}
        self._lock = threading.Lock()

    def authenticate(self, authorization: str | None) -> Principal | None:
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        claims = self._claims(token.strip())
        row = fetch_one(_alive, session_id=claims.session_id)
        if row is None or row.user_id != claims.user_id:
            raise Unauthenticated("The session has ended.")
        return _principal(claims, row)

    def is_alive(self, principal: Principal) -> bool:
        with unit_of_work() as uow:
            parameters = {"session_id": principal.session_id}
            row = uow.session.execute(_kept_alive, parameters).one_or_none()
        return row is not None and row.user_id == principal.id and row.role == principal.kind

    def end_all_sessions(self) -> int:
        return endings.end_sessions_of_everybody()

    def alive(self, principals: Collection[Principal]) -> set[Principal]:
        rows = fetch_all(_all_alive, session_ids=[p.session_id for p in principals if p.session_id])
        holders = {row.id: (row.user_id, row.role) for row in rows}
        return {p for p in principals if holders.get(p.session_id) == (p.id, p.kind)}

    def ensure_operator(self, email: str, password: str) -> bool:
        return accounts.create_operator(email, password)

    def _claims(self, token: str) -> AccessClaims:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        claims = self._remembered.get(digest)
        if claims is None:
            claims = read_access_token(token)
            self._remember(digest, claims)
        elif claims.expires_at <= time.time():
            self._remembered.pop(digest, None)
            raise Unauthenticated
        return claims

    def _remember(self, digest: bytes, claims: AccessClaims) -> None:
        with self._lock:
            while len(self._remembered) >= _MOST_REMEMBERED:
                # The oldest: all live equally long, so it is the first to expire.
                self._remembered.pop(next(iter(self._remembered)), None)
            self._remembered[digest] = claims


def _principal(claims: AccessClaims, row: Found) -> Principal:
    return Principal(
        id=claims.user_id,
        kind=row.role,
        permissions=every_permission() if row.role == "operator" else frozenset(),
        session_id=claims.session_id,
        device_id=row.installation_id,
        good_seconds=_good_seconds(claims, row),
    )


def _good_seconds(claims: AccessClaims, row: Found) -> float:
    """How long neither token nor session expires, whatever a clock that may be used says."""
    ends = min(claims.expires_at - time.time(), row.expires_at.timestamp() - time.time() - _SKEW)
    return float(min(_LONGEST_REMEMBERED, ends))


def identity() -> SessionIdentity:
    """The provider of the port."""
    return SessionIdentity()
