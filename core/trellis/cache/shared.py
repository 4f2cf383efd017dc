"""The cache of one application: Redis when it answers, and no more than a miss when it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

import structlog
from flask import Flask, current_app
from flask_caching import Cache
from prometheus_client import Counter, Histogram
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from trellis.breaker import CircuitBreaker
from trellis.cache.backend import StrictJson, TaggedRedisCache

T = TypeVar("T")

log = structlog.get_logger(__name__)

# A round trip takes well under a millisecond: a Redis that needs longer is no help.
_TIMEOUT = 0.2
_FAILURES = 3
_PAUSE = 2.0
# Invalidations kept for a Redis that is away. What does not fit is outdated by its time alone.
_MOST_OWED = 10_000

_EXTENSION = "trellis.cache"

READS = Counter(
    "trellis_cache_reads", "Reads of the shared cache: hit, miss or error.", ["scope", "result"]
)
SECONDS = Histogram(
    "trellis_cache_seconds",
    "Time spent in the shared cache by a read and the store that follows a miss.",
    ["scope"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1),
)


def init_cache(app: Flask, redis_url: str) -> None:
    """Give the application its cache; connects at first use."""
    cache = Cache(
        app,
        config={
            "CACHE_TYPE": f"{TaggedRedisCache.__module__}.{TaggedRedisCache.__qualname__}",
            "CACHE_SERIALIZER": StrictJson,
            "CACHE_REDIS_URL": redis_url,
            "CACHE_OPTIONS": {
                "socket_timeout": _TIMEOUT,
                "socket_connect_timeout": _TIMEOUT,
                "retry": Retry(NoBackoff(), 0),
            },
        },
    )
    backend = cast("TaggedRedisCache", app.extensions["cache"][cache])
    app.extensions[_EXTENSION] = SharedCache(backend)


def current_cache() -> SharedCache:
    """The cache of the current application."""
    return cast("SharedCache", current_app.extensions[_EXTENSION])


def invalidate(tags: Iterable[str]) -> None:
    """Outdate every value that carries one of the tags, each as `<plugin>.<tag>`.

    Called by the unit of work after its commit; plugins call `uow.invalidate`. Never fails: what
    Redis could not be told is told when it answers again, before this process reads from it.
    """
    current_cache().invalidate(tags)


class SharedCache:
    """Tagged values behind a breaker, with metrics for each scope."""

    def __init__(self, backend: TaggedRedisCache) -> None:
        self._backend = backend
        self._breaker = CircuitBreaker(_FAILURES, _PAUSE)
        self._owed: dict[str, None] = {}
        self._owed_lock = threading.Lock()

    def fetch(
        self,
        scope: str,
        key: str,
        tags: Sequence[str],
        seconds: int,
        compute: Callable[[], T],
    ) -> T:
        """The value kept under `key`, else the computed one; either as JSON makes it."""
        serializer = self._backend.serializer
        started = time.perf_counter()
        lookup = self._ask(lambda: self._backend.lookup(key, tags))
        spent = time.perf_counter() - started
        if lookup is not None and lookup.encoded is not None:
            READS.labels(scope, "hit").inc()
            SECONDS.labels(scope).observe(spent)
            return cast("T", serializer.loads(lookup.encoded))
        READS.labels(scope, "error" if lookup is None else "miss").inc()
        encoded = serializer.dumps(compute())
        if lookup is not None:
            versions = lookup.versions
            started = time.perf_counter()
            self._ask(lambda: self._backend.store(key, encoded, tags, versions, seconds))
            spent += time.perf_counter() - started
        SECONDS.labels(scope).observe(spent)
        return cast("T", serializer.loads(encoded))

    def invalidate(self, tags: Iterable[str]) -> None:
        """Delete what carries a tag, now or when Redis answers again."""
        with self._owed_lock:
            self._owed |= dict.fromkeys(tags)
            while len(self._owed) > _MOST_OWED:
                self._owed.pop(next(iter(self._owed)))
        self._ask(lambda: None)

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Pay what invalidation is owed, then ask; None when Redis is away."""
        if not self._breaker.allows():
            return None
        try:
            self._pay()
            answer = question()
        except RedisError as error:
            self._breaker.failed()
            log.warning("cache_away", error=type(error).__name__)
            return None
        self._breaker.succeeded()
        return answer

    def _pay(self) -> None:
        if not self._owed:
            return
        with self._owed_lock:  # held during the call: no other thread may read before it is done
            tags = list(self._owed)
            if tags:
                self._backend.invalidate(tags)
            self._owed.clear()
