"""Follows the feed once per process and hands new entries to the connections that may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
import structlog
from flask import Flask
from redis import RedisError
from sqlalchemy.engine import Row

from trellis.feed.reader import entries_between, head
from trellis.feed.sequencer import sequence
from trellis.jobs.wake import FEED_CHANNEL

log = structlog.get_logger(__name__)

# The feed is looked at this often even when no wake-up comes (Redis is away).
_POLL_SECONDS = 1.0
# Entries that a connection may lag behind before it is closed; its client resumes by its cursor.
_BACKLOG = 512


class Subscription:
    """One connection's share of the feed: entries above ``start`` for its audiences."""

    def __init__(self, audiences: frozenset[str], start: int) -> None:
        self.audiences, self.start = audiences, start
        self.entries: asyncio.Queue[Row[Any] | None] = asyncio.Queue(_BACKLOG)
        """``None`` says that the connection must end."""

        self._ended = False

    def put(self, entry: Row[Any]) -> None:
        """Hand an entry over; a connection that lags too far behind is closed instead."""
        if self._ended:
            return
        if self.entries.full():
            self.end()
        else:
            self.entries.put_nowait(entry)

    def end(self) -> None:
        """Have the connection closed; its client resumes after the last entry that it got.

        So all that waits is dropped: a part of it would leave a gap before what is sent still.
        """
        self._ended = True
        while not self.entries.empty():
            self.entries.get_nowait()
        self.entries.put_nowait(None)


class Hub:
    """The process's one reader of the feed."""

    def __init__(self, app: Flask, redis_url: str) -> None:
        self._app, self._redis_url = app, redis_url
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._position: int | None = None
        self._known = asyncio.Event()
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._open = 0
        self._ending = False

    @property
    def open_connections(self) -> int:
        """How many subscriptions there are."""
        return self._open

    async def start(self) -> None:
        """Begin to follow the feed from its present end, or from when the database is there."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._listen())]

    def end_connections(self) -> None:
        """Have every connection closed, also one that is being opened now."""
        self._ending = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.end()

    async def stop(self) -> None:
        """End every connection and stop following."""
        self.end_connections()
        running = set(self._tasks)
        while running:
            # More than once: redis-py swallows a cancellation that comes while it connects.
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=0.1)

    async def subscribe(self, audiences: frozenset[str]) -> Subscription:
        """From now on collect the entries that one of the audiences may see."""
        await self._known.wait()
        assert self._position is not None
        subscription = Subscription(audiences, self._position)
        for audience in audiences:
            self._subscriptions.setdefault(audience, set()).add(subscription)
        self._open += 1
        if self._ending:
            subscription.end()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop collecting."""
        for audience in subscription.audiences:
            subscriptions = self._subscriptions[audience]
            subscriptions.discard(subscription)
            if not subscriptions:
                del self._subscriptions[audience]
        self._open -= 1

    async def _follow(self) -> None:
        while True:
            self._woken.clear()
            try:
                entries, position = await asyncio.to_thread(self._read, self._position)
            except Exception:
                # At the first start of all the tables are made while the streams come up.
                if self._known.is_set():
                    log.exception("feed_not_read")
            else:
                for entry in entries:
                    self._hand_out(entry)
                self._position = position
                self._known.set()
            try:
                await asyncio.wait_for(self._woken.wait(), _POLL_SECONDS)
            except TimeoutError:
                continue

    def _hand_out(self, entry: Row[Any]) -> None:
        for subscription in self._subscriptions.get(entry.audience, ()):
            subscription.put(entry)

    async def _listen(self) -> None:
        while True:
            try:
                async with redis.asyncio.Redis.from_url(self._redis_url) as client:
                    channel = client.pubsub(ignore_subscribe_messages=True)
                    await channel.subscribe(FEED_CHANNEL)
                    async for _ in channel.listen():
                        self._woken.set()
            except (RedisError, OSError):
                await asyncio.sleep(_POLL_SECONDS)

    def _read(self, after: int | None) -> tuple[Sequence[Row[Any]], int]:
        with self._app.app_context():
            sequence()
            newest = head()
            if after is None or newest <= after:
                return [], newest
            return entries_between(after, newest), newest
