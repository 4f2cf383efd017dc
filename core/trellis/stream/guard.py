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
        self._asked_at = float("-inf")

    async def run(self) -> None:
        """Ask again and again; while the database is away nobody can be asked about."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self.ask()
            except Exception as error:  # noqa: BLE001 (the next round asks again)
                log.warning("rights_not_read", error=type(error).__name__)

    async def be_sure(self) -> None:
        """Return when everybody's right is known as the promise says. Raises what asking raises."""
        if asyncio.get_running_loop().time() - self._asked_at > _PROMISE_SECONDS:
            await self.ask()

    async def ask(self) -> None:
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
