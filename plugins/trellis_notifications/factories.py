"""Makes this plugin's resources for given users: for tests, the access matrix and load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID

from trellis_notifications import services

_TITLES = ("Your photo is ready", "Ada liked your photo", "New sign-in", "Your week in pictures")
_PLATFORMS = ("ios", "android")
_AT_ONCE = 5_000


def messages(user_id: UUID, count: int = 1, *, seed: int = 0) -> list[UUID]:
    """Unread messages in the user's inbox; returns their ids, the oldest first."""
    return services.add_messages(list(_messages(user_id, count, Random(seed))))


def registrations(user_id: UUID, count: int = 1, *, seed: int = 0) -> list[str]:
    """Devices that get the user's pushes; returns their installation ids.

    Seed and user decide ids and tokens: the same call twice is refused, as tokens are unique.
    """
    made = list(_registrations(user_id, count, Random(f"{seed}:{user_id}")))
    services.add_registrations(made)
    return [registration["installation_id"] for registration in made]


def populate(user_ids: Sequence[UUID], *, seed: int) -> None:
    """Thirty messages and one device for each person, in bounded memory."""
    chance = Random(seed)
    inboxes = (message for user_id in user_ids for message in _messages(user_id, 30, chance))
    while some := list(islice(inboxes, _AT_ONCE)):
        services.add_messages(some)
    devices = (device for user_id in user_ids for device in _registrations(user_id, 1, chance))
    while some := list(islice(devices, _AT_ONCE)):
        services.add_registrations(some)


def _messages(user_id: UUID, count: int, chance: Random) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        yield {
            "user_id": user_id,
            "kind": "notifications.example",
            "title": chance.choice(_TITLES),
            "body": f"Message {number} of {count}.",
            "data": {"number": chance.randrange(1000)},
        }


def _registrations(user_id: UUID, count: int, chance: Random) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        yield {
            "user_id": user_id,
            "installation_id": f"{chance.getrandbits(64):016x}",
            "platform": chance.choice(_PLATFORMS),
            "push_token": f"{chance.getrandbits(256):064x}",
        }
