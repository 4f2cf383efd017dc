"""A stream process inside the test: the ASGI application, and phones that speak ASGI to it."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from flask import Flask
from tests.core.stream.rig import Rig
from tests.processes import PATIENCE
from tests.servers import RedisServer

from trellis.db import new_id
from trellis.events import Event, user_audience
from trellis.feed import retention
from trellis.feed.sequencer import sequence
from trellis.runtime import Runtime
from trellis.stream.asgi import PATH, Application, Scope, Streams
from trellis.stream.connection import Message
from trellis.testing.databases import PostgreSQLDatabase
from trellis.testing.environment import Environment
from trellis.testing.postgresql import DURABLE, PostgreSQL
from trellis.unit_of_work import unit_of_work

SECONDS = 20.0


@dataclass(frozen=True)
class NoteShared(Event):
    """An event of these tests."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Any] = "created"
    number: int
    reader_id: UUID | None

    def resource_id(self) -> str:
        return str(self.number)

    def audience(self) -> str | None:
        return None if self.reader_id is None else user_audience(self.reader_id)


class Phone:
    """One request over ASGI, and what comes back, event by event."""

    def __init__(self, application: Application, headers: dict[str, str], **scope: Any) -> None:
        self.scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": PATH,
            "root_path": "",
            "query_string": b"",
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            **scope,
        }
        self._application = application
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._texts: list[str] = []
        self._gone = asyncio.Event()
        self.reads = asyncio.Event()
        """Cleared: the phone takes nothing more, as when its network is slow."""
        self.reads.set()
        self.ended: asyncio.Task[None] | None = None

    async def open(self) -> Phone:
        """Send the request; returns when status and headers are there."""
        self.ended = asyncio.ensure_future(self._application(self.scope, self._receive, self._send))
        start = await asyncio.wait_for(self._sent.get(), SECONDS)
        self.status: int = start["status"]
        self.headers = {name.decode(): text.decode() for name, text in start["headers"]}
        return self

    async def lines(self) -> dict[str, str]:
        """The fields of the next event; of a comment, its text under an empty name."""
        while not self._texts:
            body: bytes = (await asyncio.wait_for(self._sent.get(), SECONDS))["body"]
            if not body:
                return {}  # the end
            self._texts += body.decode().removesuffix("\n\n").split("\n\n")
        return dict(line.split(": ", 1) for line in self._texts.pop(0).splitlines())

    async def event(self) -> tuple[int, dict[str, Any]]:
        """Cursor and data of the next entry."""
        while "data" not in (fields := await self.lines()):
            assert fields, "the stream has ended"
        return int(fields["id"]), json.loads(fields["data"])

    async def numbers(self, count: int) -> list[int]:
        """The numbers of the next notes."""
        return [(await self.event())[1]["payload"]["number"] for _ in range(count)]

    async def rest(self) -> list[dict[str, str]]:
        """What still came before the end."""
        assert self.ended is not None
        await asyncio.wait_for(self.ended, SECONDS)
        left = []
        while self._texts or not self._sent.empty():
            left.append(await self.lines())
        return [fields for fields in left if fields]

    async def problem(self) -> dict[str, Any]:
        """The body of an answer that is no stream."""
        body: dict[str, Any] = json.loads((await self._sent.get())["body"])
        return body

    def hang_up(self) -> None:
        """Send and take nothing more."""
        self._gone.set()
        self.reads.set()

    async def leave(self) -> None:
        """Hang up, and wait until the server has noticed."""
        self.hang_up()
        if self.ended is not None:
            await asyncio.wait_for(self.ended, SECONDS)

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        await self._sent.put(message)
        if not message.get("more_body", True):
            self._gone.set()


class Served:
    """A running stream process."""

    def __init__(self, streams: Application) -> None:
        self.streams = streams
        self.phones: list[Phone] = []
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()

    async def start(self) -> None:
        """As a server does it: by the lifespan protocol."""
        self._life = asyncio.ensure_future(
            self.streams({"type": "lifespan"}, self._inbox.get, self._outbox.put)
        )
        await self._say("startup")

    async def stop(self) -> None:
        """End the process."""
        await self._say("shutdown")
        await asyncio.wait_for(self._life, SECONDS)

    async def connect(
        self, headers: dict[str, str], last: int | str | None = None, **scope: Any
    ) -> Phone:
        """Open a stream, or whatever comes instead of one."""
        resumed = {} if last is None else {"Last-Event-ID": str(last)}
        phone = Phone(self.streams, {**headers, **resumed}, **scope)
        self.phones.append(phone)
        return await phone.open()

    async def _say(self, what: str) -> None:
        await self._inbox.put({"type": f"lifespan.{what}"})
        answer = await asyncio.wait_for(self._outbox.get(), SECONDS)
        assert answer["type"] == f"lifespan.{what}.complete"


@asynccontextmanager
async def running(streams: Application) -> AsyncIterator[Served]:
    served = Served(streams)
    await served.start()
    try:
        yield served
    finally:
        for phone in served.phones:
            await phone.leave()
        if not served._life.done():
            await served.stop()


@pytest.fixture(autouse=True)
def runtime(app: Flask) -> Iterator[Runtime]:
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[NoteShared] = "core.note_shared/1"
    yield runtime
    del runtime.event_types[NoteShared]


@pytest.fixture
def publish(app: Flask) -> Callable[..., Awaitable[None]]:
    """``await publish(reader, 1, 2)`` commits a note of each number for a reader."""

    def write(reader_id: UUID | None, numbers: tuple[int, ...]) -> None:
        with app.app_context(), unit_of_work() as uow:
            for number in numbers:
                uow.publish(NoteShared(number, reader_id))

    async def publish(reader_id: UUID | None, *numbers: int) -> None:
        await asyncio.to_thread(write, reader_id, numbers)

    return publish


@pytest.fixture
def sequenced(app: Flask) -> Callable[[], Awaitable[None]]:
    """``await sequenced()``: what was committed has its position, given by whomever."""

    def run() -> None:
        with app.app_context():
            sequence()

    async def sequenced() -> None:
        await asyncio.to_thread(run)

    return sequenced


@pytest.fixture
def trim(app: Flask) -> Callable[[], Awaitable[None]]:
    """``await trim()``: every entry that has a position is too old and gone."""

    def run() -> None:
        with app.app_context():
            retention.trim(keep_seconds=-60)

    async def trim() -> None:
        await asyncio.to_thread(run)

    return trim


@pytest.fixture
def play(app: Flask) -> Callable[..., None]:
    """``play(scene)`` runs ``scene(served)`` beside a stream process, at most a minute."""

    def play(
        scene: Callable[[Served], Awaitable[None]],
        make: Callable[[Flask], Application] = Streams,
    ) -> None:
        async def run() -> None:
            async with running(make(app)) as served:
                await scene(served)

        asyncio.run(asyncio.wait_for(run(), 60))

    return play


@pytest.fixture
def ada() -> UUID:
    return new_id()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("streams")
    server, redis = PostgreSQL(DURABLE), RedisServer(directory / "redis")
    server.start()
    redis.start()
    rig = None
    try:
        database = PostgreSQLDatabase(server.url())
        with Environment.started(directory / "var", database) as environment:
            rig = Rig(environment, server, redis, directory / "streams.log")
            yield rig
    finally:
        if rig is not None:
            for process in (rig.first, rig.second):
                process.send(signal.SIGKILL)
                process.process.wait(PATIENCE)
        redis.kill()
        server.close()
        gc.collect()


@pytest.fixture
def rig(installed: Rig) -> Iterator[Rig]:
    yield installed
    while installed.followers:
        installed.followers.pop().close()
