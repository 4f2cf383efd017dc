"""Events for tests and load: one seed always makes the same events, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from uuid import UUID

from trellis.db import utcnow
from trellis_analytics import services
from trellis_analytics.models import NewEvent

# What people do, and how often.
_NAMES = {"app_opened": 40, "screen_viewed": 35, "photo_shared": 15, "search": 8, "signed_out": 2}
_SCREENS = ("home", "album", "photo", "inbox", "profile")
_PER_PERSON = 20
_AT_ONCE = 20_000


def make_events(user_id: UUID, count: int = 3, *, seed: int = 0) -> None:
    """Store events of one person that happened in the last hour."""
    seed_events([user_id], count, seed=seed, within=timedelta(hours=1))


def populate(user_ids: Sequence[UUID], *, seed: int = 0) -> None:
    """A month in the life of these people, for load."""
    seed_events(user_ids, _PER_PERSON * len(user_ids), seed=seed)


def seed_events(
    user_ids: Sequence[UUID],
    count: int,
    *,
    seed: int = 0,
    until: datetime | None = None,
    within: timedelta = timedelta(days=30),
) -> None:
    """Store ``count`` events of some people, any number in bounded memory.

    Seeded again with the same arguments nothing is added: the ids are the same.
    """
    made = generate(user_ids, count, seed=seed, until=until or utcnow(), within=within)
    while batch := list(islice(made, _AT_ONCE)):
        services.record_bulk(batch)


def generate(
    user_ids: Sequence[UUID], count: int, *, seed: int, until: datetime, within: timedelta
) -> Iterator[tuple[UUID, NewEvent]]:
    """Events of random people and names, in the order of their times; nothing is stored."""
    random = Random(seed)
    names, weights = list(_NAMES), list(_NAMES.values())
    for number in range(count):
        # In order, as in life: what comes together then lies together in the database, which is
        # what makes ten million of them quick to store.
        age = within * ((count - number - random.random()) / count)
        event = NewEvent(
            id=str(UUID(int=random.getrandbits(128), version=4)),
            name=random.choices(names, weights)[0],
            occurred_at=until - age,
            properties={"screen": random.choice(_SCREENS)},
        )
        yield random.choice(user_ids), event
