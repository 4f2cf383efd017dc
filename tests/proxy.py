"""A TCP proxy that does to its connections what networks do: delay, stall, cut, reset and refuse.

It stands between a program and a server and knows nothing of what they say, but for `cut`,
which looks for bytes in what the program sends.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.loops import LoopThread

_CHUNK = 64 * 1024
_TURNS_TO_ACCEPT = 5
_RESET = struct.pack("ii", 1, 0)  # closing with a linger of 0 seconds sends RST in place of FIN


class Proxy:
    """Listens at `port` in front of one server, or of several that take turns.

    A connection goes to the next server that accepts it. Every method may be called from any
    thread, and holds for open connections as for new ones.
    """

    def __init__(self, *upstream_ports: int) -> None:
        self._upstream_ports: Sequence[int] = upstream_ports
        self._turn = 0
        self._thread = LoopThread()
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flows = self._thread.call(asyncio.Event)
        self._listening: asyncio.Server | None = None
        self._delay: tuple[float, float] = (0.0, 0.0)
        self._cut_after: int | None = None
        self._cut: Callable[[bytes], bool] | None = None
        self._before = False
        self.cuts = 0
        """How often `cut` did."""
        self.port = 0
        self.restore()

    # --- what may happen ------------------------------------------------------------------------

    def restore(self) -> None:
        """Let everything through again, also what a blackhole has held back."""
        self._delay, self._cut_after, self._cut = (0.0, 0.0), None, None
        self._thread.run(self._listen())
        self._thread.call(self._flows.set)

    def refuse(self) -> None:
        """Reset what is open and refuse what comes, as when nobody listens."""
        self._thread.run(self._close_listener())
        self.reset()

    def reset(self) -> None:
        """Reset every open connection, once."""
        self._thread.call(self._reset_all)

    def blackhole(self) -> None:
        """Pass nothing on and say nothing; connections stay open and new ones are accepted."""
        self._thread.call(self._flows.clear)

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Have each piece of data wait, in either direction, give or take ``jitter`` seconds."""
        self._delay = (seconds, jitter)

    def cut_after(self, count: int) -> None:
        """Reset each connection once so many bytes of replies have passed."""
        self._cut_after = count

    def cut(self, where: Callable[[bytes], bool], *, before: bool = False) -> None:
        """Where ``where`` is true of what a program sends, reset in place of the reply.

        The server gets it all the same, unless ``before``. ``where`` is asked for each piece as it
        is read, and runs in the proxy's thread.
        """
        self._cut, self._before = where, before

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open) // 2

    def close(self) -> None:
        """Refuse for good, and end the thread."""
        self.refuse()
        self._thread.close()

    # --- in the proxy's thread ------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._listening is None:
            self._listening = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._listening.sockets[0].getsockname()[1]

    async def _close_listener(self) -> None:
        if self._listening is not None:
            # What it has accepted reaches `_accept` some turns of the loop later, and would stay
            # open for ever if it were closed by then.
            for listener in self._listening.sockets:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            for _ in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
            self._listening.close()
            self._listening = None

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _abort(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        # Not in the task: one that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _: writer.close())
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = await self._connect()
        if connection is None:
            _abort(writer)
            return
        upstream_reader, upstream_writer = connection
        pair = {writer, upstream_writer}
        self._open |= pair
        cutting = asyncio.Event()
        flows = [
            asyncio.create_task(self._requests(reader, upstream_writer, cutting)),
            asyncio.create_task(self._replies(upstream_reader, writer, cutting)),
        ]
        try:
            with suppress(OSError):
                await asyncio.gather(*flows)
        finally:
            for task in flows:
                task.cancel()
            self._open -= pair
            for one in pair:
                _abort(one) if cutting.is_set() else one.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._upstream_ports:
            self._turn = (self._turn + 1) % len(self._upstream_ports)
            with suppress(OSError):
                port = self._upstream_ports[self._turn]
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cutting: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._hold_up()
            if self._cut is not None and self._cut(data):
                self.cuts += 1
                cutting.set()
                if self._before:
                    raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cutting: asyncio.Event
    ) -> None:
        passed = 0
        while data := await reader.read(_CHUNK):
            await self._hold_up()
            if cutting.is_set():
                raise ConnectionResetError
            if self._cut_after is not None and passed + len(data) > self._cut_after:
                writer.write(data[: self._cut_after - passed])
                cutting.set()
                raise ConnectionResetError
            passed += len(data)
            writer.write(data)
            await writer.drain()
        # The server has ended the connection: whatever the program sends now goes nowhere.
        raise ConnectionResetError

    async def _hold_up(self) -> None:
        seconds, jitter = self._delay
        if seconds:
            await asyncio.sleep(max(0.0, seconds + random.uniform(-jitter, jitter)))
        await self._flows.wait()


def _abort(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
