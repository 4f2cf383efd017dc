"""Makes this plugin's resources for a given user: for tests, the access matrix and load seeding."""

from __future__ import annotations

import random
from uuid import UUID

from trellis_notifications import services

_TITLES = ("Your photo is ready", "Ada liked your photo", "New sign-in", "Your week in pictures")
_PLATFORMS = ("ios", "android")


def messages(user_id: UUID, count: int = 1, *, seed: int = 0) -> list[UUID]:
    """Unread messages in the user's inbox; returns their ids, the oldest first."""
    chance = random.Random(seed)
    return services.add_messages(
        user_id,
        [
            {
                "kind": "notifications.example",
                "title": chance.choice(_TITLES),
                "body": f"Message {number + 1} of {count}.",
                "data": {"number": chance.randrange(1000)},
            }
            for number in range(count)
        ],
    )


def registrations(user_id: UUID, count: int = 1, *, seed: int = 0) -> list[str]:
    """Installations that get the user's pushes; returns their installation ids.

    Seed and user decide ids and tokens: the same call twice is refused, as tokens are unique.
    """
    chance = random.Random(f"{seed}:{user_id}")
    made = [
        {
            "installation_id": f"installation-{chance.getrandbits(64):016x}",
            "platform": chance.choice(_PLATFORMS),
            "push_token": f"{chance.getrandbits(256):064x}",
        }
        for _ in range(count)
    ]
    services.add_registrations(user_id, made)
    return [one["installation_id"] for one in made]
