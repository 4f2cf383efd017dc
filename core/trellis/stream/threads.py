"""Where an event loop has done what would block it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import ParamSpec, TypeVar

from flask import Flask

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A few threads of one purpose, so that no other purpose waits for them.

    With ``app`` they run everything in that application's context.
    """

    def __init__(self, count: int, name: str, app: Flask | None = None) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=f"trellis-{name}")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread."""

        def call() -> T:
            with self._app.app_context() if self._app else nullcontext():
                return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def end(self) -> None:
        """Begin nothing more, and return when nothing runs any more."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
