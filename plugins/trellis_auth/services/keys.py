"""The keys that sign access tokens: rows, made when the first one is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from joserfc.jwk import ECKey
from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from trellis.db import Compiled, fetch_all, fetch_one, fetch_value, utcnow
from trellis.unit_of_work import unit_of_work
from trellis_auth.models import SigningKey

ALGORITHM: Final = "ES256"
KEYS_TAG = "auth.keys"
"""The cache tag of what is read of them."""

_newest = Compiled(
    select(SigningKey.kid, SigningKey.private_jwk).order_by(SigningKey.number.desc()).limit(1)
)
_of_kid = Compiled(select(SigningKey.public_jwk).where(SigningKey.kid == bindparam("kid")))
_all = Compiled(select(SigningKey.public_jwk).order_by(SigningKey.number))


@dataclass(frozen=True)
class Signer:
    """The key that signs, and the id under which its public half is published."""

    kid: str
    key: ECKey


def signer() -> Signer:
    """The key that signs at present."""
    row = fetch_one(_newest)
    if row is None:
        _make_first()
        row = fetch_one(_newest)
        assert row is not None
    return Signer(row.kid, _imported(row.private_jwk))


def public_key(kid: str) -> ECKey | None:
    """The public half of a key of ours."""
    jwk = fetch_value(_of_kid, kid=kid)
    return None if jwk is None else _imported(json.dumps(jwk))


def published() -> Sequence[dict[str, Any]]:
    """The public halves of all keys (RFC 7517)."""
    signer()
    return [row.public_jwk for row in fetch_all(_all)]


@lru_cache(maxsize=16)
def _imported(jwk: str) -> ECKey:
    return ECKey.import_key(json.loads(jwk))


def _make_first() -> None:
    """Make the first key. Of processes that try at once one succeeds: the number is unique."""
    key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": ALGORITHM})
    kid = key.thumbprint()
    with unit_of_work() as uow:
        row = SigningKey(
            kid=kid,
            number=1,
            public_jwk={**key.as_dict(private=False), "kid": kid},
            private_jwk=json.dumps(key.as_dict(private=True)),
            created_at=utcnow(),
        )
        uow.invalidate(KEYS_TAG)
        with suppress(IntegrityError), uow.session.begin_nested():
            uow.session.add(row)
