"""One connection: what it missed, then what happens, with pings, until either side ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.engine import Row

from trellis.contracts import Principal
from trellis.errors import ResyncRequired
from trellis.feed.audience import audiences_of

if TYPE_CHECKING:
    from trellis.stream.hub import Hub

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger(__name__)

# Entries that a connection may lag behind before it is closed; its client resumes by its cursor.
_BACKLOG = 512


class Connection:
    """Sends one principal's entries as Server-Sent Events (WHATWG HTML, section 9.2).

    Thousands are held at a time, so one that is idle is little: a coroutine that waits for the
    client to leave. A task that writes is there only while there is something to write.
    """

    __slots__ = (
        "_cursor",
        "_ended",
        "_hub",
        "_send",
        "_start",
        "_waiting",
        "_writer",
        "position",
        "principal",
        "wrote_at",
    )

    def __init__(
        self, hub: Hub, principal: Principal, cursor: int | None, start: Message, send: Send
    ) -> None:
        self._hub, self._cursor, self._send = hub, cursor, send
        self._start: Message | None = start
        self._ended = False
        self._waiting: list[tuple[int, bytes]] = []
        self._writer: asyncio.Task[None] | None = None
        self.principal = principal
        self.position = 0
        """Up to here the client has everything that it may see."""
        self.wrote_at = 0.0
        """By the clock of the event loop."""

    @property
    def audiences(self) -> frozenset[str]:
        """Whose entries it is for; made anew each time, as thousands would only hold them."""
        return audiences_of(self.principal)

    async def run(self, receive: Receive) -> None:
        """Serve until the client leaves, the session ends, or the process stops."""
        await self._hub.join(self)
        try:
            if not self._ended:
                self._write(self._open)
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._hub.leave(self)
            if self._writer is not None:
                self._writer.cancel()

    def put(self, entry: tuple[int, bytes]) -> None:
        """Hand an entry over, by position and text; whoever lags too far behind is closed."""
        if self._ended:
            return
        if len(self._waiting) >= _BACKLOG:
            self.end()
            return
        self._waiting.append(entry)
        if self._writer is None:
            self._write(self._follow)

    def ping(self) -> None:
        """Show that the connection lives, unless something is being written anyway."""
        if self._writer is None and not self._ended:
            self._write(self._ping)

    def end(self) -> None:
        """Close the connection; its client resumes after the last entry that it got.

        So all that waits is dropped: a part of it would leave a gap before what is sent still.
        """
        if self._ended:
            return
        self._ended = True
        self._waiting.clear()
        if self._writer is not None:
            self._writer.cancel()
        self._writer = asyncio.create_task(self._finish())

    def _write(self, writing: Callable[[], Awaitable[None]]) -> None:
        self._writer = asyncio.create_task(self._guarded(writing))

    async def _guarded(self, writing: Callable[[], Awaitable[None]]) -> None:
        try:
            await writing()
        except Exception:
            log.warning("stream_broken", exc_info=True)
            self._writer = None
            self.end()
        else:
            self._writer = None

    async def _open(self) -> None:
        """Begin the answer, and send what lies between the client's cursor and what is live."""
        await self._begin()
        live = self.position
        if self._cursor is None:
            await self._text(_opening(live))
            return await self._follow()
        try:
            found = await self._hub.changes(self._cursor, self.audiences)
        except ResyncRequired as error:
            # From where the hub is: what it has read before, the client finds when it fetches.
            await self._text(_opening(live, _resync(error)))
            return await self._follow()
        await self._text(_opening(self._cursor))
        while True:
            if found.entries:
                await self._text(b"".join(map(entry_text, found.entries)))
            self.position = found.cursor
            if not found.more or found.cursor >= live:
                return await self._follow()
            found = await self._hub.changes(found.cursor, self.audiences)

    async def _ping(self) -> None:
        await self._text(b": ping\n\n")
        await self._follow()

    async def _follow(self) -> None:
        """Write until nothing waits."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            # Another process may have given the client entries that ours sees only now.
            texts = [text for position, text in waiting if position > self.position]
            if texts:
                await self._text(b"".join(texts))
                self.position = waiting[-1][0]

    async def _finish(self) -> None:
        await self._begin()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)

    async def _text(self, text: bytes) -> None:
        await self._send({"type": "http.response.body", "body": text, "more_body": True})
        self.wrote_at = asyncio.get_running_loop().time()


def entry_text(entry: Row[Any]) -> bytes:
    """An entry in the form of the event stream; its id is the cursor."""
    data = {
        "id": str(entry.event_id),
        "type": entry.type,
        "resource": entry.resource,
        "resource_id": entry.resource_id,
        "operation": entry.operation,
        "payload": entry.payload,
    }
    return f"id: {entry.position}\nevent: {entry.type}\ndata: {json.dumps(data)}\n\n".encode()


def _opening(cursor: int, event: str = "") -> bytes:
    """What comes first: when to come back after a break, and the cursor to come back with."""
    return f"retry: 2000\nid: {cursor}\n{event}\n".encode()


def _resync(error: ResyncRequired) -> str:
    data = {"type": "core.resync", "reason": error.extensions["reason"]}
    return f"event: core.resync\ndata: {json.dumps(data)}\n"
