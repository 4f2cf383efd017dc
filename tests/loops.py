"""An event loop in a thread of its own, for servers that tests run beside themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_WITHIN = 10.0


class LoopThread:
    """Runs until `close`; the other methods may be called from any thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to its end over there; its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_WITHIN)

    def call(self, function: Callable[[], T]) -> T:
        """Call over there; its result."""

        async def called() -> T:
            return function()

        return self.run(called())

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_WITHIN)
        self.loop.close()

    @staticmethod
    async def _cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
