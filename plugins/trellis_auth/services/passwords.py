"""Passwords: what a new one must be, and argon2id in a bounded pool.

Hashing takes 19 MiB and some 20 ms of a core (OWASP's parameters). It runs before a unit of work
begins, and only a few at a time: the threads that wait are answered 503 before they starve others.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from trellis.errors import InvalidInput, ServiceUnavailable
from trellis_auth.settings import AuthSettings

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_new(password: str) -> str:
    """The hash of a new password. Raises InvalidInput for one that is too short or too long.

    Length is the only rule (NIST SP 800-63B): characters are counted, any of Unicode is taken.
    """
    settings = AuthSettings.current()
    least, most = settings.password_min_length, settings.password_max_length
    # First, so that nobody makes us work on a megabyte.
    if len(password) > most:
        raise InvalidInput.field("/password", f"Longer than {most} characters.")
    if len(password) < least:
        raise InvalidInput.field("/password", f"Shorter than {least} characters.")
    with turn():
        return _hasher.hash(_bytes(password))


def verify(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one; with none stored it takes as long, and is not.

    Call it inside a `turn`.
    """
    try:
        _hasher.verify(stored or _nobodys_hash(), _bytes(password))
    except VerifyMismatchError:
        return False
    return stored is not None


@contextmanager
def turn() -> Iterator[None]:
    """One of the few turns to hash. Raises ServiceUnavailable when it is too long in coming."""
    settings = AuthSettings.current()
    turns = _turns(settings.password_hashes_at_once)
    if not turns.acquire(timeout=settings.password_wait_seconds):
        raise ServiceUnavailable("Too many people sign in at this moment.", retry_after=2)
    try:
        yield
    finally:
        turns.release()


def _bytes(password: str) -> bytes:
    # Two keyboards may send one character in two forms (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_bytes(16))


@cache
def _turns(at_once: int) -> BoundedSemaphore:
    return BoundedSemaphore(at_once)
