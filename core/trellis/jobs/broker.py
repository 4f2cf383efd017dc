"""Clients of Redis, by how long their process may wait for it."""

from __future__ import annotations

from redis import ConnectionError as RedisConnectionError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_QUICK_SECONDS = 0.5
_PATIENT_SECONDS = 5.0


def quick_client(url: str) -> Redis:
    """For requests: they do without what Redis does not do at once."""
    return _client(url, _QUICK_SECONDS, Retry(NoBackoff(), 0))


def patient_client(url: str) -> Redis:
    """For workers and schedulers: nobody waits for them, and a slow Redis is better than none."""
    again = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    return _client(url, _PATIENT_SECONDS, again)


def _client(url: str, seconds: float, retry: Retry) -> Redis:
    return Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=retry)
