"""The server processes: granian around the applications."""

from __future__ import annotations

from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from trellis.app import create_app
from trellis.settings import Settings
from trellis.stream.asgi import Streams, front

# granian waits for open streams without an end unless it is told to stop waiting.
_KILL_SECONDS = 3


def stream_application() -> Streams:
    """ASGI: streams alone."""
    return Streams(create_app())


def front_application() -> Streams:
    """ASGI: streams and the whole API at one address."""
    return front(create_app())


def serve_web(core: Settings) -> None:
    """Serve the API in WSGI mode until SIGTERM or SIGINT."""
    _server(core, "trellis.wsgi:app", Interfaces.WSGI, blocking_threads=core.web_threads).serve()


def serve_stream(core: Settings) -> None:
    """Serve streams until SIGTERM or SIGINT."""
    _serve_asgi(core, "trellis.servers:stream_application")


def serve_front(core: Settings) -> None:
    """Serve streams and the API at one address until SIGTERM or SIGINT."""
    _serve_asgi(core, "trellis.servers:front_application")


def _serve_asgi(core: Settings, target: str) -> None:
    # Every held stream counts against the backpressure; requests need room beside them.
    room = core.stream_max_connections + 256
    _server(
        core, target, Interfaces.ASGI, factory=True, backlog=max(1024, room), backpressure=room
    ).serve()


def _server(core: Settings, target: str, interface: Interfaces, **options: Any) -> MPServer:
    return MPServer(
        target,
        address=core.host,
        port=core.port,
        interface=interface,
        websockets=False,
        workers_kill_timeout=_KILL_SECONDS,
        log_level=LogLevels.warning,
        **options,
    )
