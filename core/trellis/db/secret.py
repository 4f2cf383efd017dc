"""Values that must be read back but never lie in clear: signing keys, provider credentials."""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from trellis.runtime import runtime


class Secret(TypeDecorator[str]):
    """Text encrypted under ``secret_keys``: the first key encrypts, all of them decrypt.

    Reading raises ValueError when no key fits, which means that a key was taken away too early.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _cipher(_keys()).encrypt(value.encode()).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return _cipher(_keys()).decrypt(value.encode()).decode()
        except InvalidToken:
            raise ValueError("no key in secret_keys opens a stored secret") from None


def _keys() -> tuple[str, ...]:
    return tuple(key.get_secret_value() for key in runtime().settings.core.secret_keys)


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derive(key)) for key in keys])


def _derive(key: str) -> bytes:
    hkdf = HKDF(SHA256(), length=32, salt=None, info=b"trellis column encryption 1")
    return base64.urlsafe_b64encode(hkdf.derive(key.encode()))
