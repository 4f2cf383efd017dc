"""Telling those whom a commit concerns, from a thread of its own: nobody waits for Redis."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from redis import Redis, RedisError

from trellis.jobs.wake import wake_feed, wake_heavy, wake_light
from trellis.task import Queue

log = structlog.get_logger(__name__)

# After so long a Redis that did not answer is asked again.
_PAUSE_SECONDS = 1.0
_IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class _News:
    """What nobody was told of yet."""

    light: bool = False
    heavy: int = 0
    feed: bool = False

    def __bool__(self) -> bool:
        return self.light or self.feed or self.heavy > 0

    def __add__(self, more: _News) -> _News:
        return _News(self.light or more.light, self.heavy + more.heavy, self.feed or more.feed)


class Announcer:
    """Of one application. What is committed while others are told of the last is told in one."""

    def __init__(self, redis: Callable[[], Redis]) -> None:
        self._redis = redis
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._news = _News()
        self._telling = False
        self._thread: threading.Thread | None = None

    def announce(self, work: Sequence[Queue], *, feed: bool) -> None:
        """Wake those who run the work, and those who follow the ``feed`` when it has grown."""
        if not (work or feed):
            return
        if self._process != os.getpid():
            self._begin()  # the thread is the parent's
        with self._changed:
            self._news += _News("light" in work, work.count("heavy"), feed)
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
        away = False
        while self._has_news():
            news = self._take()
            try:
                self._tell(news)
                away = False
            except RedisError as error:
                if not away:
                    log.warning("broker_away", error=str(error))
                away = True
                self._put_back(news)
                time.sleep(_PAUSE_SECONDS)
            except Exception:
                log.exception("not_announced")

    def _has_news(self) -> bool:
        """Wait for some; False after a while without, and the thread is to end."""
        with self._changed:
            self._telling = False
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._news, _IDLE_SECONDS):
                self._thread = None
            return self._thread is not None

    def _take(self) -> _News:
        with self._changed:
            news, self._news, self._telling = self._news, _News(), True
            return news

    def _put_back(self, news: _News) -> None:
        with self._changed:
            self._news += news

    def _tell(self, news: _News) -> None:
        redis = self._redis()
        if news.heavy:
            wake_heavy(redis, news.heavy)
        if news.light:
            wake_light(redis)
        if news.feed:
            wake_feed(redis)
