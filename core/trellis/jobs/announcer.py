"""Telling those whom a commit concerns, from a thread of its own: nobody waits for Redis."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from redis import Redis, RedisError

from trellis.breaker import CircuitBreaker
from trellis.jobs.wake import wake_feed, wake_heavy, wake_light

if TYPE_CHECKING:
    from trellis.outbox.record import OutboxRecord

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 2.0
_IDLE_SECONDS = 5.0


@dataclass
class _News:
    """What nobody was told of yet."""

    light: bool = False
    heavy: int = 0
    feed: bool = False

    def __bool__(self) -> bool:
        return self.light or self.feed or self.heavy > 0


class Announcer:
    """Of one application. What is committed while others are told of the last is told in one.

    The sweep wakes for what is lost here. A Redis that does not answer is left alone for a while.
    """

    def __init__(self, redis: Callable[[], Redis]) -> None:
        self._redis = redis
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._breaker = CircuitBreaker(1, _PAUSE_SECONDS)
        self._news = _News()
        self._telling = False
        self._thread: threading.Thread | None = None

    def announce(self, work: Sequence[OutboxRecord], *, feed: bool) -> None:
        """Wake those who run the work, and those who follow the ``feed`` when it has grown."""
        if not (work or feed):
            return
        if self._process != os.getpid():
            self._begin()  # the thread is the parent's
        queues = [record.queue for record in work]
        with self._changed:
            self._news.light |= "light" in queues
            self._news.heavy += queues.count("heavy")
            self._news.feed |= feed
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify_all()

    def settle(self, within: float = 2.0) -> None:
        """Wait until all is told, for so many seconds at most: this process is about to end."""
        if self._process == os.getpid():
            with self._changed:
                self._changed.wait_for(lambda: not (self._news or self._telling), within)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._telling = False
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._news, _IDLE_SECONDS):
                    self._thread = None
                    return
                news, self._news = self._news, _News()
                self._telling = True
            self._tell(news)

    def _tell(self, news: _News) -> None:
        if not self._breaker.allows():
            return
        redis = self._redis()
        try:
            if news.heavy:
                wake_heavy(redis, news.heavy)
            if news.light:
                wake_light(redis)
            if news.feed:
                wake_feed(redis)
        except RedisError as error:
            self._breaker.failed()
            log.warning("broker_away", error=str(error))
        except Exception:
            log.exception("not_announced")
        else:
            self._breaker.succeeded()
