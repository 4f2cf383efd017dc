"""Entries for tests and load."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from uuid import UUID

from trellis_guestbook import services

_WORDS = ("what", "a", "fine", "place", "we", "came", "to", "see", "dandelions", "again")


def make_entries(user_id: UUID, count: int = 3, *, seed: int = 0) -> list[UUID]:
    """Entries of one person; returns their ids, the oldest first."""
    random = Random(seed)
    texts = [" ".join(random.choices(_WORDS, k=8)) for _ in range(count)]
    return services.write_many(user_id, texts)


def populate(user_ids: Sequence[UUID], *, seed: int = 0) -> None:
    """What a load run finds written."""
    for number, user_id in enumerate(user_ids):
        make_entries(user_id, seed=seed + number)
