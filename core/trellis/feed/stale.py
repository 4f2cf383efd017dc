"""What a commit makes stale stands in the feed, and processes that keep values read it there.

So a message that is lost, or never sent because its sender was killed, costs a second at most.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import structlog
from flask import Flask
from redis import RedisError
from sqlalchemy import bindparam, or_, select
from sqlalchemy.exc import SQLAlchemyError

from trellis.cache import current_cache
from trellis.cache.shared import SharedCache
from trellis.db.ids import new_id
from trellis.db.reads import fetch_all
from trellis.events import Event
from trellis.feed.models import TAGS_OUTDATED, FeedEntry
from trellis.feed.reader import head
from trellis.feed.record import FeedRecord
from trellis_cache.first_level import HEARD_SECONDS
from trellis_statements.compiled import Compiled

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.4
# Nobody reads what is kept any more: the next reader begins anew.
_IDLE_SECONDS = 60.0
_MOST = 10_000

# Both: what has no position yet may get one at any moment. In whatever order they come.
_NEW = Compiled(
    select(FeedEntry.event_id, FeedEntry.payload)
    .where(
        or_(FeedEntry.position.is_(None), FeedEntry.position > bindparam("low")),
        FeedEntry.type == TAGS_OUTDATED,
    )
    .limit(_MOST)
)


@dataclass(frozen=True)
class TagsOutdated(Event):
    """Values with these tags (digests) are stale."""

    resource: ClassVar[str] = "cache"
    operation: ClassVar[Literal["created", "updated", "deleted"]] = "updated"

    tags: Sequence[str]

    def resource_id(self) -> str:
        return ""

    def payload(self) -> dict[str, Any]:
        return {"tags": list(self.tags)}


def record_of(tags: Sequence[str]) -> FeedRecord:
    """What a unit of work appends to the feed; nobody but the cache listens."""
    return FeedRecord(new_id(), TAGS_OUTDATED, TagsOutdated(tags))


def follow_stale(app: Flask) -> None:
    """Have the cache of the application follow the feed while it keeps values in this process."""
    with app.app_context():
        cache = current_cache()
    cache.follow = _Follower(app, cache).ensure


class _Follower:
    """Looks at the feed a few times a second, in a thread that ends when nobody has asked."""

    def __init__(self, app: Flask, cache: SharedCache) -> None:
        self._app = app
        self._cache = cache
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._asked = False
        self._low: int | None = None
        self._life = ""

    def ensure(self) -> None:
        """Follow, from now on and for a while."""
        self._asked = True
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                self._low = None
                self._cache.channel.listen()
                self._thread = threading.Thread(
                    target=self._run, name="cache-follower", daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """Look no more; returns when the last look is over."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        idle = 0.0
        while idle < _IDLE_SECONDS and not self._ended.is_set():
            try:
                with self._app.app_context():
                    self._look()
            except (RedisError, SQLAlchemyError) as error:
                log.info("cache_not_followed", error=type(error).__name__)
            except Exception:  # without it nothing would be kept any more
                log.exception("cache_not_followed")
            idle = 0.0 if self._asked else idle + _LOOK_SECONDS
            self._asked = False
            self._ended.wait(_LOOK_SECONDS)
        with self._lock:
            self._process = 0

    def _look(self) -> None:
        """Drop what is stale. Raises RedisError and SQLAlchemyError, and then nothing counts."""
        began = time.monotonic()
        cache, backend = self._cache, self._cache.backend
        if self._low is None:
            self._low = backend.watermark()
            cache.first.clear()
        newest = head()
        if self._low is None or self._low > newest:
            # Redis or the database has had another life, and nobody knows what became stale in it.
            backend.forget()
            cache.first.clear()
            self._low = newest
        entries = fetch_all(_NEW, low=self._low)
        if len(entries) == _MOST:
            backend.forget()
            cache.first.clear()
        else:
            self._outdate({str(entry.event_id): entry.payload["tags"] for entry in entries})
        noted, life = backend.advance(self._low, newest, cache.channel.name, HEARD_SECONDS)
        if noted < self._low:
            self._low = noted  # Redis has forgotten what it was told since
        else:
            self._low = newest
            if life == self._life:
                cache.first.heard(began)
        if life != self._life:
            cache.first.clear()
            self._life = life

    def _outdate(self, events: dict[str, Sequence[str]]) -> None:
        for event in self._cache.backend.unknown(list(events)):
            self._cache.backend.repair(events[event], event)
        for event, tags in events.items():
            self._cache.outdate(event, tags)
