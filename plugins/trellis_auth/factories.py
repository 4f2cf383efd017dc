"""Makes accounts and sessions in numbers: for tests, the access matrix and load seeding."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from trellis_auth import services
from trellis_auth.models import DeviceInfo

PASSWORD = "correct horse battery staple"  # noqa: S105 (of accounts that are made up)

_DEVICES = (("Ada's iPhone", "ios"), ("Pixel 9", "android"), ("Firefox", "web"))
_PER_PERSON = 3


def emails(count: int, *, seed: int = 0) -> list[str]:
    """The addresses under which `users` makes accounts with the same arguments."""
    return [f"user-{seed}-{number}@example.com" for number in range(count)]


def users(
    count: int = 1, *, seed: int = 0, password: str = PASSWORD, role: str = "user"
) -> list[UUID]:
    """Verified accounts under `emails(count, seed=seed)`; the password is hashed once for all."""
    return services.add_users(emails(count, seed=seed), password, role=role)


def sessions(user_ids: Sequence[UUID], *, seed: int = 0) -> list[services.Tokens]:
    """A session of each user on a device of the seed; returns the tokens in the same order."""
    name, platform = _DEVICES[seed % len(_DEVICES)]
    return services.add_sessions(user_ids, DeviceInfo(f"device-{seed}", name, platform))


def populate(user_ids: Sequence[UUID], *, seed: int = 0) -> None:
    """Some sessions of each of these people, for load."""
    for number in range(_PER_PERSON):
        sessions(user_ids, seed=_PER_PERSON * seed + number)
