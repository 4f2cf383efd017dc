"""Makes this plugin's resources for given users: for tests, the access matrix and load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID

from trellis_webhooks import services

_TYPES = ("media.asset_ready/1", "notifications.message_created/1", "auth.session_ended/1")
_AT_ONCE = 5_000


def endpoint(
    owner_id: UUID | None = None,
    *,
    url: str = "https://hooks.example.com/trellis",
    events: Sequence[str] = ("*",),
    enabled: bool = False,
) -> tuple[UUID, str]:
    """An endpoint, to which nothing is sent unless it is enabled; returns its id and secret."""
    return services.create_endpoint(owner_id, url, events, "Example", enabled=enabled)


def populate(user_ids: Sequence[UUID], *, seed: int) -> None:
    """An endpoint, and two events about each person that it was sent, in bounded memory."""
    endpoint_id, _ = endpoint()
    chance = Random(seed)
    deliveries = (
        delivery for user_id in user_ids for delivery in _deliveries(endpoint_id, user_id, chance)
    )
    while some := list(islice(deliveries, _AT_ONCE)):
        services.add_deliveries(some)


def _deliveries(endpoint_id: UUID, user_id: UUID, chance: Random) -> Iterator[dict[str, Any]]:
    for _ in range(2):
        yield {
            "endpoint_id": endpoint_id,
            "event_id": UUID(int=chance.getrandbits(128), version=4),
            "type": chance.choice(_TYPES),
            "data": {"user_id": str(user_id)},
            "subject": user_id,
            "state": "delivered",
            "last_status": 204,
            "last_duration_ms": chance.randrange(20, 200),
        }
