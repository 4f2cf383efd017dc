"""The server processes: granian around the applications.

A service manager or a terminal signals all processes at once. granian's worker would stop at that
while its parent still drains, so the worker holds such signals back until its parent ends it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from trellis.app import create_app
from trellis.draining import Draining, WSGIApplication
from trellis.parent import end_with_parent
from trellis.settings import Settings
from trellis.stream.asgi import Application, Streams, front
from trellis.stream.connection import Message, Receive, Send

_STOPPING = signal.SIGUSR1  # the parent is about to stop
_ENDING = signal.SIGUSR2  # the worker has to stop now
_WAKING = signal.SIGURG  # says nothing; whoever else sends it does no harm
_ENDS = (signal.SIGTERM, signal.SIGINT)
_HELD_BACK = (*_ENDS, _STOPPING, _ENDING)


class _Worker(WorkerProcess):
    """granian's handle of its worker process."""

    def start(self) -> None:
        # The worker inherits this. Each is let through as soon as there is who knows what to do.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            super().start()  # type: ignore[no-untyped-call]
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def terminate(self) -> None:
        super().terminate()  # type: ignore[no-untyped-call]
        _tell(self, _ENDING)


class _Server(MPServer):
    """granian, which tells an application of the stop only after the last connection has ended."""

    drain_seconds = 0.0
    """How long it goes on listening after the application was told."""

    def _spawn_worker(self, *args: Any, **options: Any) -> WorkerProcess:
        worker = super()._spawn_worker(*args, **options)
        worker.__class__ = _Worker  # granian makes it of its own class, whoever asks
        return worker

    def shutdown(self, exit_code: int = 0) -> None:
        alive = [worker for worker in self.wrks if worker.inner.is_alive()]
        for worker in alive:
            _tell(worker, _STOPPING)
        if alive:  # else it is because they died, and nobody answers whom the listener lets in
            time.sleep(self.drain_seconds)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]


def web_application() -> WSGIApplication:
    """WSGI: the API, which drains when its server is told to stop."""
    _begin()
    application = Draining(create_app().wsgi_app)
    signal.signal(_STOPPING, lambda *_: application.drain())
    _wake_main_thread()
    _let_through(_STOPPING)
    return application


def stream_application() -> Application:
    """ASGI: streams alone."""
    _begin()
    return _ending(Streams(create_app()))


def front_application() -> Application:
    """ASGI: streams and the whole API at one address."""
    _begin()
    return _ending(front(create_app()))


def _begin() -> None:
    """In the worker, before anything that takes time: from now on its parent can end it."""
    end_with_parent(signal.SIGKILL)  # a milder signal waits for the last request or stream to end
    for number in _ENDS:
        signal.signal(number, signal.SIG_DFL)  # the parent's; granian sets the worker's later
    signal.signal(_ENDING, lambda *_: _let_through(*_ENDS))
    _let_through(_ENDING)


def _tell(worker: WorkerProcess, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.kill(worker.inner.pid, number)


def _let_through(*numbers: signal.Signals) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _wake_main_thread() -> None:
    """Have it run the handler of a signal that another thread was interrupted by.

    The kernel may choose any thread, and Python runs handlers in the main one, which under granian
    sleeps on a lock until the end: it would never hear of it.
    """
    main = threading.main_thread().ident
    assert main is not None

    def wake() -> None:
        while number := os.read(told, 1):
            if number[0] != _WAKING:
                signal.pthread_kill(main, _WAKING)

    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    signal.signal(_WAKING, lambda *_: None)
    threading.Thread(target=wake, name="signals", daemon=True).start()


def _ending(streams: Streams) -> Application:
    """The application, which ends its streams when its server says that it stops."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().add_signal_handler(_STOPPING, streams.end)
            _let_through(_STOPPING)
            # What is there now stays, and what news takes is soon gone: all streams wait while what
            # is held is looked through, for a second on a machine that has much else to do.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 20)
        await streams(scope, receive, send)

    return application


def serve_web(core: Settings) -> None:
    """Serve the API in WSGI mode until SIGTERM or SIGINT."""
    server = _server(
        core,
        target="trellis.servers:web_application",
        interface=Interfaces.WSGI,
        blocking_threads=core.web_threads,
    )
    server.drain_seconds = core.drain_seconds
    server.serve()


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
        core,
        target=target,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,  # to find out which one takes 12 KiB of each connection
        backlog=max(1024, room),
        backpressure=room,
    ).serve()


def _server(core: Settings, **options: Any) -> _Server:
    return _Server(
        factory=True,
        address=core.host,
        port=core.port,
        websockets=False,
        workers_kill_timeout=core.stop_seconds,
        log_level=LogLevels.warning,
        **options,
    )
