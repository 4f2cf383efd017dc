"""Watches over the right of those who are connected: asked for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import islice

import structlog

from trellis.contracts import Identity, Principal, port
from trellis.stream.connection import Connection
from trellis.stream.threads import Threads

log = structlog.get_logger(__name__)

# Nobody is sent anything who lost the right to it longer ago than this.
_PROMISE_SECONDS = 5.0
_PAUSE_SECONDS = 2.0
_AT_ONCE = 500


class Guard:
    """Ends the connections of whoever would not be let in any more."""

    def __init__(self, threads: Threads, connections: Collection[Connection]) -> None:
        """``connections`` are at any time those that are open."""
        self._threads, self._connections = threads, connections
        self._turn = asyncio.Lock()
        self._asked_at = float("-inf")

    async def run(self) -> None:
        """Ask again and again; while the database is away nobody can be asked about."""
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                await self.be_sure(0)
            except Exception as error:  # noqa: BLE001 (the next round asks again)
                log.warning("rights_not_read", error=type(error).__name__)
            # From beginning to beginning: thousands take a while, and the promise holds for them.
            await asyncio.sleep(max(_PAUSE_SECONDS - (now() - began), _PAUSE_SECONDS / 4))

    async def be_sure(self, seconds: float = _PROMISE_SECONDS) -> None:
        """Return when everybody's right is known as it was so many seconds ago, or later.

        Raises what asking raises.
        """
        now = asyncio.get_running_loop().time
        if now() - self._asked_at > seconds:
            async with self._turn:  # two who ask at once take twice as long
                if now() - self._asked_at > seconds:
                    await self._ask()

    async def _ask(self) -> None:
        """Ask for everybody who is connected now, and end whom the answer leaves out."""
        began = asyncio.get_running_loop().time()
        everybody = iter(list(self._connections))
        while some := list(islice(everybody, _AT_ONCE)):
            alive = await self._threads.run(_alive, {each.principal for each in some})
            for connection in some:
                if connection.principal not in alive:
                    connection.end()
        self._asked_at = began


def _alive(principals: Collection[Principal]) -> set[Principal]:
    return port(Identity).alive(principals)
