"""One connection: what it missed, then what happens, with pings, until either side ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from flask import Flask
from sqlalchemy.engine import Row

from trellis.contracts import Identity, Principal, port
from trellis.errors import ResyncRequired
from trellis.feed.audience import audiences_of
from trellis.feed.reader import Changes, changes
from trellis.stream.hub import Hub, Subscription

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Whether the caller would still be let in is asked this often, on a busy stream too.
_CHECK_SECONDS = 5.0
# A ping goes out when nothing else did for so long.
_PING_SECONDS = 15.0
_PAGE = 500

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would otherwise hold entries back until its buffer is full
    (b"x-accel-buffering", b"no"),
]


class Connection:
    """Sends one principal's entries as Server-Sent Events (WHATWG HTML, section 9.2)."""

    def __init__(self, app: Flask, hub: Hub, principal: Principal, cursor: int | None) -> None:
        self._app, self._hub, self._principal, self._cursor = app, hub, principal, cursor
        self._audiences = audiences_of(principal)

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve until the client leaves, the session ends, or the process stops."""
        subscription = await self._hub.subscribe(self._audiences)
        ends = {
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(self._shut_out()),
        }
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            position = await self._replay(subscription, send)
            await self._live(subscription, position, ends, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for end in ends:
                end.cancel()
            self._hub.unsubscribe(subscription)

    async def _replay(self, subscription: Subscription, send: Send) -> int:
        """Send what lies between the client's cursor and the start of the subscription.

        Returns the position up to which the client has everything.
        """
        if self._cursor is None:
            await _write(send, _opening(subscription.start))
            return subscription.start
        try:
            found = await asyncio.to_thread(self._changes, self._cursor)
        except ResyncRequired as error:
            # From where the hub is: what it has read before, the client finds when it fetches.
            await _write(send, _opening(subscription.start, _resync_text(error)))
            return subscription.start
        await _write(send, _opening(self._cursor))
        while True:
            for entry in found.entries:
                await _write(send, event_text(entry))
            if not found.more or found.cursor >= subscription.start:
                return found.cursor
            found = await asyncio.to_thread(self._changes, found.cursor)

    async def _live(
        self, subscription: Subscription, position: int, ends: set[asyncio.Task[None]], send: Send
    ) -> None:
        while not any(end.done() for end in ends):
            following = asyncio.ensure_future(subscription.entries.get())
            done, _ = await asyncio.wait(
                {following, *ends}, timeout=_PING_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if following.done():
                entry = following.result()
                if entry is None:
                    return
                # Another process may have given the client entries that ours sees only now.
                if entry.position > position:
                    await _write(send, event_text(entry))
                continue
            following.cancel()
            if not done:
                await _write(send, ": ping\n\n")

    async def _shut_out(self) -> None:
        """Return when the caller would not be let in any more."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            if not await asyncio.to_thread(self._alive):
                return

    def _changes(self, position: int) -> Changes:
        with self._app.app_context():
            return changes(position, self._audiences, _PAGE)

    def _alive(self) -> bool:
        with self._app.app_context():
            return port(Identity).is_alive(self._principal)


def event_text(entry: Row[Any]) -> str:
    """An entry in the form of the event stream; its id is the cursor."""
    data = {
        "id": str(entry.event_id),
        "type": entry.type,
        "resource": entry.resource,
        "resource_id": entry.resource_id,
        "operation": entry.operation,
        "payload": entry.payload,
    }
    return f"id: {entry.position}\nevent: {entry.type}\ndata: {json.dumps(data)}\n\n"


def _opening(cursor: int, event: str = "") -> str:
    """What comes first: when to come back after a break, and the cursor to come back with."""
    return f"retry: 2000\nid: {cursor}\n{event}\n"


def _resync_text(error: ResyncRequired) -> str:
    data = {"type": "core.resync", "reason": error.extensions["reason"]}
    return f"event: core.resync\ndata: {json.dumps(data)}\n"


async def _write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
