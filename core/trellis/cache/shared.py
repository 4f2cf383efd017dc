"""The cache of one application: this process, then Redis, and a miss while neither can be trusted.

A value is given only while it is as good as a fresh one. The commit that changes what values tell
of names their tags in the feed. Then it is told on a channel, and the write is answered when all
processes that keep values have dropped these, or 50 ms later. A process keeps values only while it
has read the feed within the last second, and Redis knows that it does. So when a message is lost,
or its sender is killed after the commit, old values are given for a second at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import structlog
from flask import Flask, current_app, has_request_context
from flask_caching import Cache
from prometheus_client import Counter, Histogram
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from trellis.breaker import CircuitBreaker
from trellis_cache.backend import Lookup, StrictJson, TaggedRedisCache
from trellis_cache.channel import Channel
from trellis_cache.first_level import HEARD_SECONDS, FirstLevel
from trellis_cache.tags import everything_of

T = TypeVar("T")

log = structlog.get_logger(__name__)

# A round trip takes well under a millisecond: a Redis that needs longer is no help.
_TIMEOUT = 0.2
_FAILURES = 3
_PAUSE = 2.0
# Invalidations kept for a Redis that is away. What does not fit is outdated by the feed.
_MOST_OWED = 10_000
_MOST_HEARD = 20_000
_ANSWERS_SECONDS = 0.05
# Between two looks for what another process computes.
_SHORTEST_WAIT, _LONGEST_WAIT = 0.002, 0.05

_EXTENSION = "trellis.cache"

READS = Counter(
    "trellis_cache_reads",
    "Reads of the cache: local (this process), hit, stale, miss or error.",
    ["scope", "result"],
)
SECONDS = Histogram(
    "trellis_cache_seconds",
    "Time spent in Redis by a read and the store that follows a miss.",
    ["scope"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1),
)


def init_cache(app: Flask, redis_url: str, local_bytes: int = 0) -> None:
    """Give the application its cache; connects at first use.

    A process that serves requests keeps up to ``local_bytes`` of values for itself.
    """
    options = {
        "socket_timeout": _TIMEOUT,
        "socket_connect_timeout": _TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }
    cache = Cache(
        app,
        config={
            "CACHE_TYPE": f"{TaggedRedisCache.__module__}.{TaggedRedisCache.__qualname__}",
            "CACHE_SERIALIZER": StrictJson,
            "CACHE_REDIS_URL": redis_url,
            "CACHE_OPTIONS": options,
        },
    )
    backend = cast("TaggedRedisCache", app.extensions["cache"][cache])
    # What waits for messages waits for long.
    connect = lambda: Redis.from_url(redis_url, socket_connect_timeout=_TIMEOUT)  # noqa: E731
    app.extensions[_EXTENSION] = SharedCache(backend, connect, local_bytes)


def current_cache() -> SharedCache:
    """The cache of the current application."""
    return cast("SharedCache", current_app.extensions[_EXTENSION])


@dataclass(frozen=True, slots=True)
class Kept:
    """An encoded value, for how long it is good, and the `FirstLevel.mark` from before it was."""

    encoded: bytes
    seconds: float
    mark: int


class SharedCache:
    """Tagged values behind a breaker, with metrics for each scope. Tags are digests."""

    def __init__(
        self, backend: TaggedRedisCache, connect: Callable[[], Redis], local_bytes: int
    ) -> None:
        self.backend = backend
        self.first = FirstLevel(local_bytes)
        self.channel = Channel(connect, self.outdate)
        self.follow: Callable[[], None] = lambda: None
        """Begins to read the feed for what is stale, or does so already; see `feed.stale`."""
        self._keeps = local_bytes > 0
        self._breaker = CircuitBreaker(_FAILURES, _PAUSE)
        self._lock = threading.Lock()
        self._owed: dict[str, Sequence[str]] = {}
        self._heard: dict[str, None] = {}

    def fetch(
        self,
        scope: str,
        key: str,
        tags: Sequence[str],
        seconds: float,
        compute: Callable[[], T],
        stale: float = 0.0,
    ) -> T:
        """The value kept under `key`, else the computed one; either as JSON makes it.

        A value that is older than `seconds` is given for `stale` seconds more to all but the one
        who computes it anew.
        """
        loads = self.backend.serializer.loads
        found = self.recall(scope, key)
        if found is not None:
            return cast("T", loads(found))
        kept = self.second(scope, key, tags, seconds, compute, stale)
        self.remember(scope, key, kept.encoded, len(kept.encoded), tags, kept)
        return cast("T", loads(kept.encoded))

    def recall(self, scope: str, key: Hashable) -> Any:
        """What this process keeps under `key` for requests, or None."""
        if not self._keeps or not has_request_context():
            return None
        self.follow()
        found = self.first.get(key)
        if found is not None:
            READS.labels(scope, "local").inc()
        return found

    def remember(
        self, scope: str, key: Hashable, value: Any, size: int, tags: Sequence[str], kept: Kept
    ) -> None:
        """Keep what was made of `kept` in this process, as long as that is good."""
        self.first.put(key, value, size, [*tags, everything_of(scope)], kept.seconds, kept.mark)

    def second(
        self,
        scope: str,
        key: str,
        tags: Sequence[str],
        seconds: float,
        compute: Callable[[], object],
        stale: float = 0.0,
    ) -> Kept:
        """`fetch` without what this process keeps."""
        tags = [*tags, everything_of(scope)]
        mark = self.first.mark()
        started = time.perf_counter()
        lookup = self._look(key, tags, stale)
        spent = time.perf_counter() - started
        if lookup is not None and lookup.encoded is not None and not lookup.token:
            READS.labels(scope, "hit" if lookup.fresh > 0 else "stale").inc()
            encoded = lookup.encoded
            left = lookup.fresh
        else:
            READS.labels(scope, "error" if lookup is None else "miss").inc()
            encoded = self._computed(key, lookup, compute)
            left = seconds
            if lookup is not None:
                found, keep = lookup, seconds + stale
                started = time.perf_counter()
                self._ask(lambda: self.backend.store(key, encoded, tags, found, keep))
                spent += time.perf_counter() - started
        SECONDS.labels(scope).observe(spent)
        return Kept(encoded, left, mark)

    def invalidate(self, event: str, tags: Sequence[str], *, everywhere: bool = False) -> None:
        """Outdate every value that carries a tag, here, in Redis and in all other processes.

        Never fails: what Redis could not be told is told when it answers again, before this process
        reads from it. With ``everywhere`` it returns only when no process gives such a value: at
        once in the ordinary case, after a second when one of them does not answer.
        """
        until = time.monotonic() + (HEARD_SECONDS if everywhere else _ANSWERS_SECONDS)
        if self._keeps and has_request_context():
            self.channel.listen()
        with self.channel.answers(event) as wait:
            keepers = self._ask(lambda: self._tell(event, tags))
            if keepers is None:
                self._owe(event, tags)
            # Not before: what was read from Redis until now is not kept here either.
            self.outdate(event, tags)
            if keepers is None:  # nobody knows who keeps values, or hears them
                keepers = {""}
            others = keepers - {self.channel.name}
            if others and (everywhere or self.channel.listens):
                wait(others, until - time.monotonic())

    def outdate(self, event: str, tags: Iterable[str]) -> None:
        """Drop what this process keeps, once for each event."""
        with self._lock:
            if event in self._heard:
                return
            self._heard[event] = None
            if len(self._heard) > _MOST_HEARD:
                self._heard.pop(next(iter(self._heard)))
        self.first.drop(tags)

    def _look(self, key: str, tags: Sequence[str], stale: float) -> Lookup | None:
        """What Redis has; waits while another one computes it. None when Redis is away."""
        pause = _SHORTEST_WAIT
        while True:
            lookup = self._ask(lambda: self.backend.lookup(key, tags, stale))
            if lookup is None or lookup.encoded is not None or lookup.token:
                return lookup
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT)

    def _computed(self, key: str, lookup: Lookup | None, compute: Callable[[], object]) -> bytes:
        try:
            return self.backend.serializer.dumps(compute())
        except BaseException:
            if lookup is not None:
                self._ask(lambda: self.backend.give_up(key, lookup))
            raise

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

    def _owe(self, event: str, tags: Sequence[str]) -> None:
        with self._lock:
            self._owed[event] = tags
            while len(self._owed) > _MOST_OWED:
                self._owed.pop(next(iter(self._owed)))

    def _pay(self) -> None:
        if not self._owed:
            return
        with self._lock:  # held during the call: no other thread may read before it is done
            for event in list(self._owed):
                self._tell(event, self._owed[event])
                del self._owed[event]

    def _tell(self, event: str, tags: Sequence[str]) -> set[str]:
        """Who keeps values of those who were told."""
        return self.backend.invalidate(tags, event, self.channel.message(event, tags))
