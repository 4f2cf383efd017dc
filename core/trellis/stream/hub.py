"""Follows the feed once per process and hands new entries to the connections that may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis.asyncio
import structlog
from flask import Flask
from redis import RedisError
from sqlalchemy.engine import Row

from trellis.feed.reader import Changes, changes, entries_after, head
from trellis.feed.sequencer import sequence
from trellis.jobs.wake import FEED_CHANNEL, wake_feed
from trellis.runtime import runtime
from trellis.stream.connection import Connection, entry_text
from trellis.stream.guard import Guard
from trellis.stream.threads import Threads

log = structlog.get_logger(__name__)

# The feed is looked at this often even when no wake-up comes (Redis is away).
_POLL_SECONDS = 1.0
# Whoever hears nothing for so long subscribes anew: a peer that vanished says nothing either.
_SILENT_SECONDS = 30.0
# A ping goes out when nothing else did for so long.
_PING_SECONDS = 15.0
# A process that was stopped for long does not read on from where it was: its clients resume.
_FURTHEST = 1000
_PAGE = 500
# Under load entries are read together: a look costs the same for one and for many.
_BREATH_SECONDS = 0.005


class Hub:
    """The process's one reader of the feed, and everybody who is connected."""

    def __init__(self, app: Flask, redis_url: str) -> None:
        self._redis_url = redis_url
        self._reading, self._asking, self._replaying = (
            Threads(count, name, app) for name, count in (("feed", 1), ("guard", 1), ("replay", 2))
        )
        self._connections: set[Connection] = set()
        self._guard = Guard(self._asking, self._connections)
        self._by_audience: dict[str, set[Connection]] = {}
        self._position: int | None = None
        self._known = asyncio.Event()
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = self._away = False

    async def start(self) -> None:
        """Begin to follow the feed from its present end, or from when the database is there."""
        for work in (self._follow(), self._listen(), self._ping(), self._guard.run()):
            self._tasks.append(asyncio.create_task(work))

    def end_connections(self) -> None:
        """Have every connection closed, also one that is being opened now."""
        self._ending = True
        self._end_all()

    async def stop(self) -> None:
        """End every connection and stop following."""
        self.end_connections()
        running = set(self._tasks)
        while running:
            # More than once: redis-py swallows a cancellation that comes while it connects.
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=0.1)
        for threads in (self._reading, self._asking, self._replaying):
            await threads.end()

    async def join(self, connection: Connection) -> None:
        """From now on hand over what the connection may see, above the position set in it."""
        await self._known.wait()
        assert self._position is not None
        connection.position = self._position
        connection.wrote_at = asyncio.get_running_loop().time()
        self._connections.add(connection)
        for audience in connection.audiences:
            self._by_audience.setdefault(audience, set()).add(connection)
        if self._ending:
            connection.end()

    def leave(self, connection: Connection) -> None:
        """Hand over nothing more."""
        self._connections.discard(connection)
        for audience in connection.audiences:
            connections = self._by_audience[audience]
            connections.discard(connection)
            if not connections:
                del self._by_audience[audience]

    async def changes(self, cursor: int, audiences: frozenset[str]) -> Changes:
        """What a connection has missed. Raises ResyncRequired."""
        return await self._replaying.run(changes, cursor, audiences, _PAGE)

    def _end_all(self) -> None:
        for connection in self._connections:
            connection.end()

    async def _follow(self) -> None:
        while True:
            self._woken.clear()
            try:
                if await self._read_on():
                    self._woken.set()  # what came while we sequenced had nobody else to do it
                    await self._announce()
                    await asyncio.sleep(_BREATH_SECONDS)
                self._away = False
            except Exception as error:  # noqa: BLE001 (the database may be away; later, then)
                # At the first start of all the tables are made while the streams come up.
                if self._known.is_set() and not self._away:
                    log.warning("feed_not_read", error=type(error).__name__)
                self._away = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _POLL_SECONDS)

    async def _read_on(self) -> int:
        """Hand out what is new; returns to how many entries we gave their positions."""
        given, newest, entries = await self._reading.run(_read, self._position)
        if entries is None:
            # Far behind, or the database has had another life: each client asks for its own.
            self._end_all()
        elif entries:
            await self._guard.be_sure()
            for entry in entries:
                if connections := self._by_audience.get(entry.audience):
                    text = (entry.position, entry_text(entry))
                    for connection in connections:
                        connection.put(text)
        self._position = newest
        self._known.set()
        return given

    async def _announce(self) -> None:
        """Tell the other processes, which found the sequencer's lock taken."""
        try:
            await self._reading.run(lambda: wake_feed(runtime().redis))
        except RedisError as error:
            log.warning("broker_away", error=str(error))

    async def _listen(self) -> None:
        while True:
            try:
                async with redis.asyncio.Redis.from_url(
                    self._redis_url, socket_connect_timeout=3
                ) as client:
                    channel = client.pubsub(ignore_subscribe_messages=True)
                    await channel.subscribe(FEED_CHANNEL)
                    while True:
                        async with asyncio.timeout(_SILENT_SECONDS):
                            await channel.get_message(timeout=None)
                        self._woken.set()
            except TimeoutError:
                continue
            except (RedisError, OSError):
                pass
            except Exception:  # deaf for ever, each entry would wait for the next look
                log.exception("wake_ups_not_heard")
            await asyncio.sleep(_POLL_SECONDS)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(min(_PING_SECONDS, 1.0))
            silent = asyncio.get_running_loop().time() - _PING_SECONDS
            for connection in self._connections:
                if connection.wrote_at <= silent:
                    connection.ping()


def _read(after: int | None) -> tuple[int, int, Sequence[Row[Any]] | None]:
    """Positions given, the newest one, and the entries up to there; None when they are not read."""
    given = sequence()
    if after is None:
        return given, head(), []
    entries = entries_after(after, _FURTHEST)
    if 0 < len(entries) < _FURTHEST:
        return given, entries[-1].position, entries
    newest = head()
    if entries or newest < after:
        return given, newest, None
    return given, after, []  # not the newest: what it counts may have come after the look
