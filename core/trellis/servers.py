"""The server processes: granian around the applications."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from contextlib import suppress
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from trellis.app import create_app
from trellis.settings import Settings
from trellis.stream.asgi import Application, Streams, front
from trellis.stream.connection import Message, Receive, Send

# For requests that are under way; what takes longer is cut off.
_KILL_SECONDS = 3
_END_STREAMS = signal.SIGUSR1


class _StreamServer(MPServer):
    """granian, which waits for open connections but tells an application of the stop only after."""

    def shutdown(self, exit_code: int = 0) -> None:
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, _END_STREAMS)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]


def stream_application() -> Application:
    """ASGI: streams alone."""
    return _ending(Streams(create_app()))


def front_application() -> Application:
    """ASGI: streams and the whole API at one address."""
    return _ending(front(create_app()))


def _ending(streams: Streams) -> Application:
    """The application, which ends its streams when its server says that it stops."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().add_signal_handler(_END_STREAMS, streams.end)
        await streams(scope, receive, send)

    return application


def serve_web(core: Settings) -> None:
    """Serve the API in WSGI mode until SIGTERM or SIGINT."""
    _serve(
        MPServer,
        core,
        target="trellis.wsgi:app",
        interface=Interfaces.WSGI,
        blocking_threads=core.web_threads,
    )


def serve_stream(core: Settings) -> None:
    """Serve streams until SIGTERM or SIGINT."""
    _serve_asgi(core, "trellis.servers:stream_application")


def serve_front(core: Settings) -> None:
    """Serve streams and the API at one address until SIGTERM or SIGINT."""
    _serve_asgi(core, "trellis.servers:front_application")


def _serve_asgi(core: Settings, target: str) -> None:
    # Every held stream counts against the backpressure; requests need room beside them.
    room = core.stream_max_connections + 256
    _serve(
        _StreamServer,
        core,
        target=target,
        interface=Interfaces.ASGI,
        factory=True,
        backlog=max(1024, room),
        backpressure=room,
    )


def _serve(server: type[MPServer], core: Settings, **options: Any) -> None:
    server(
        address=core.host,
        port=core.port,
        websockets=False,
        workers_kill_timeout=_KILL_SECONDS,
        log_level=LogLevels.warning,
        **options,
    ).serve()
