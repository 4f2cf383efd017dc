"""Values that must be read back but never lie in clear: signing keys, provider credentials."""

from __future__ import annotations

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from trellis.runtime import runtime

_PURPOSE = b"trellis column encryption 1"


class Secret(TypeDecorator[str]):
    """Text encrypted under ``secret_keys``: the first key encrypts, all of them decrypt.

    Reading raises ValueError when no key fits, which means that a key was taken away too early.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else cipher(_PURPOSE).encrypt(value.encode()).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return cipher(_PURPOSE).decrypt(value.encode()).decode()
        except InvalidToken:
            raise ValueError("no key in secret_keys opens a stored secret") from None


def fingerprint(key: str) -> str:
    """What a key is called by; nobody finds the key from it."""
    return HKDF(SHA256(), 8, None, b"trellis backup 1 fingerprint").derive(key.encode()).hex()


def key_fingerprints() -> list[str]:
    """What the keys of this installation's secrets are called by, the one that encrypts first."""
    return [fingerprint(key.get_secret_value()) for key in runtime().settings.core.secret_keys]


@cache
def derived_key(purpose: bytes, key: str) -> bytes:
    """What one of ``secret_keys`` becomes for one purpose: 32 bytes."""
    return HKDF(SHA256(), 32, None, purpose).derive(key.encode())


def cipher(purpose: bytes, salt: bytes | None = None) -> MultiFernet:
    """Encrypts under what is derived from the first of ``secret_keys``, decrypts under any."""

    def derived(key: str) -> bytes:
        hkdf = HKDF(SHA256(), length=32, salt=salt, info=purpose)
        return base64.urlsafe_b64encode(hkdf.derive(key.encode()))

    keys = runtime().settings.core.secret_keys
    return MultiFernet([Fernet(derived(key.get_secret_value())) for key in keys])
