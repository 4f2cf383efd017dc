"""The two tokens of a session: access tokens (RFC 9068), and refresh tokens that are never stored.

A refresh token is the session's id, a counter, and an HMAC over both under a key of the session's
own. Rotation moves the counter. So every token that a session ever had can be told from a forged
one, and the present one can be made again for a phone that never got the answer.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol

from trellis.errors import Unauthenticated
from trellis.settings import Settings
from trellis_auth.services import keys
from trellis_auth.settings import AuthSettings

_LONGEST_ACCESS_TOKEN = 4096
_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_PREFIX = "rt1."
_ID, _COUNTER, _MAC = 16, 8, 32


@dataclass(frozen=True)
class Tokens:
    """What an app gets when it signs in or refreshes."""

    access_token: str
    refresh_token: str
    expires_in: int
    session_id: UUID
    token_type: str = "Bearer"  # noqa: S105 (a name of RFC 6750)


@dataclass(frozen=True)
class AccessClaims:
    """What a verified access token says; ``expires_at`` is in seconds since the epoch."""

    user_id: UUID
    session_id: UUID
    expires_at: int


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token that has the right form; only `is_genuine` tells whether it is ours."""

    session_id: UUID
    counter: int
    mac: bytes

    def is_genuine(self, refresh_key: str) -> bool:
        """Whether the session with this key had this token at some time."""
        return hmac.compare_digest(self.mac, _mac(refresh_key, self.session_id, self.counter))


def new_refresh_key() -> str:
    """The key from which a new session's refresh tokens are made."""
    return secrets.token_urlsafe(32)


def issue(session: Mapping[str, Any]) -> Tokens:
    """A pair for a session's row: a new access token, and the refresh token of its counter."""
    lifetime = AuthSettings.current().access_token_seconds
    return Tokens(
        access_token=_access_token(session, lifetime),
        refresh_token=_refresh_token(session),
        expires_in=lifetime,
        session_id=session["id"],
    )


# --- access tokens --------------------------------------------------------------------------------


def _access_token(session: Mapping[str, Any], lifetime: int) -> str:
    signer = keys.signer()
    address = Settings.current().base_url
    now = int(time.time())
    return jwt.encode(
        {"alg": keys.ALGORITHM, "typ": "at+jwt", "kid": signer.kid},
        {
            "iss": address,
            "aud": address,
            "sub": str(session["user_id"]),
            "client_id": session["client_id"],
            "sid": str(session["id"]),
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + lifetime,
        },
        signer.key,
        algorithms=[keys.ALGORITHM],
    )


def read_access_token(token: str) -> AccessClaims:
    """Verify an access token: form, key, signature, type, issuer, audience, expiry.

    Raises Unauthenticated, and does not say which of these did not hold.
    """
    # A header can be as long as its sender likes, and is parsed before the signature is checked.
    if len(token) > _LONGEST_ACCESS_TOKEN:
        raise Unauthenticated
    try:
        # The algorithm is ours and the key is found by `kid` among our own: what else the header
        # says (alg, jwk, jku, x5u) counts for nothing.
        verified = jwt.decode(token, _key_of, algorithms=[keys.ALGORITHM])
        return _checked(verified.header, verified.claims)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        raise Unauthenticated from None


def _checked(header: Mapping[str, Any], claims: Mapping[str, Any]) -> AccessClaims:
    """The claims of a token whose signature holds. Raises ValueError and its like."""
    address = Settings.current().base_url
    expires_at: int = claims["exp"]
    if (
        header["typ"] not in _TYPES
        or claims["iss"] != address
        or claims["aud"] != address
        or expires_at <= time.time()
    ):
        raise ValueError("not for us, or not any more")
    return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), expires_at)


def _key_of(signature: GuestProtocol) -> ECKey:
    kid = signature.headers().get("kid")
    key = keys.public_key(kid) if kid else None
    if key is None:
        raise ValueError("no key of ours")
    return key


# --- refresh tokens -------------------------------------------------------------------------------


def _refresh_token(session: Mapping[str, Any]) -> str:
    session_id: UUID = session["id"]
    counter: int = session["counter"]
    mac = _mac(session["refresh_key"], session_id, counter)
    return _spelt(session_id.bytes + counter.to_bytes(_COUNTER) + mac)


def read_refresh_token(token: str) -> RefreshToken | None:
    """The parts of a refresh token, None for what has not its form."""
    text = token.removeprefix(_PREFIX)
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        return None
    # The decoder skips what is not its alphabet: only the one spelling counts.
    if token != _spelt(raw) or len(raw) != _ID + _COUNTER + _MAC:
        return None
    counter = int.from_bytes(raw[_ID : _ID + _COUNTER])
    return RefreshToken(UUID(bytes=raw[:_ID]), counter, raw[_ID + _COUNTER :])


def _spelt(raw: bytes) -> str:
    return _PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode()


def _mac(refresh_key: str, session_id: UUID, counter: int) -> bytes:
    message = b"trellis refresh token 1" + session_id.bytes + counter.to_bytes(_COUNTER)
    return hmac.digest(refresh_key.encode(), message, hashlib.sha256)
