"""Telling every process what has become stale, and knowing when each of them has dropped it."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from redis import Redis, RedisError

from trellis_cache.backend import CHANNEL

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.5
# Whoever hears nothing for so long asks whether anybody is there.
_SILENT_SECONDS = 15.0


class Channel:
    """Of one process: hears of stale tags in a thread of its own, and answers their senders.

    ``drop`` is called with an event and its tags.
    """

    def __init__(
        self, connect: Callable[[], Redis], drop: Callable[[str, Sequence[str]], None]
    ) -> None:
        self._connect = connect
        self._drop = drop
        self._changed = threading.Condition()
        self._answered: dict[str, set[str]] = {}
        self._begin(0)

    def _begin(self, process: int) -> None:
        self._process = process
        self.name = secrets.token_hex(8)
        """Of this process, among those that keep values."""

    def listen(self) -> None:
        """From now on hear what others send; each call but the first does nothing."""
        if self._process == os.getpid():
            return
        with self._changed:
            if self._process != os.getpid():  # also in a fork, which has no thread
                self._begin(os.getpid())
                threading.Thread(target=self._run, name="cache-channel", daemon=True).start()

    @property
    def listens(self) -> bool:
        """Whether anybody is there to hear an answer."""
        return self._process == os.getpid()

    def message(self, event: str, tags: Sequence[str]) -> bytes:
        """What tells others of an event that has made these tags stale."""
        return json.dumps({"event": event, "tags": tags, "sender": self.name}).encode()

    @contextmanager
    def answers(self, event: str) -> Iterator[Callable[[set[str], float], None]]:
        """Hear the answers to an event that is sent within the block.

        Gives a function that waits until those of these names have answered, for so many seconds.
        """
        answered = self._answered[event] = set()

        def wait(names: set[str], seconds: float) -> None:
            with self._changed:
                self._changed.wait_for(lambda: names <= answered, seconds)

        try:
            yield wait
        finally:
            del self._answered[event]

    def _run(self) -> None:
        while True:
            try:
                self._hear()
            except (RedisError, OSError) as error:
                log.info("cache_channel_away", error=type(error).__name__)
            except Exception:  # deaf for ever, each write would wait for its answer
                log.exception("cache_channel_failed")
            time.sleep(_PAUSE_SECONDS)

    def _hear(self) -> None:
        mine = _answers_to(self.name)
        with self._connect() as redis, redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(CHANNEL, mine)
            while True:
                found = pubsub.get_message(timeout=_SILENT_SECONDS)
                if found is None:
                    pubsub.ping()
                elif found["type"] == "message":
                    told = json.loads(found["data"])
                    if found["channel"].decode() == mine:
                        self._note(**told)
                    elif told["sender"] != self.name:  # our own were dropped before they were sent
                        self._drop(told["event"], told["tags"])
                        answer = json.dumps({"event": told["event"], "name": self.name})
                        redis.publish(_answers_to(told["sender"]), answer)

    def _note(self, event: str, name: str) -> None:
        with self._changed:
            if event in self._answered:
                self._answered[event].add(name)
                self._changed.notify_all()


def _answers_to(name: str) -> str:
    return f"{CHANNEL}:{name}"
