"""The ASGI applications: streams alone, or streams and Flask at one address (on a laptop).

Who may open a stream is decided by Flask: the request runs through the whole WSGI application,
whose view for ``/v1/stream`` leaves the admitted principal in the environ. So every rule that holds
for a request (access, request id, problem documents, limits) holds for a stream.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import build_environ
from flask import Flask
from werkzeug.exceptions import ClientDisconnected, RequestTimeout

from trellis.contracts import Principal
from trellis.runtime import Runtime
from trellis.stream.connection import Connection, Message, Receive, Send
from trellis.stream.hub import Hub
from trellis.stream.room import make_room
from trellis.stream.threads import Threads

PATH = "/v1/stream"
PRINCIPAL = "trellis.stream.principal"
"""Key of the environ under which the view leaves the principal that it let in."""
CURSOR = "trellis.stream.cursor"
FULL = "trellis.stream.full"

# A phone that is gone says nothing: without an end its upload would hold a thread for ever.
_SILENT_SECONDS = 20.0
_ASCII = bytes(range(128))

Scope = Message
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Streams:
    """ASGI application that serves ``/v1/stream`` and hands every other path to ``others``."""

    def __init__(self, app: Flask, others: Application | None = None) -> None:
        self._app = app
        self._others = others or self._through_flask
        runtime: Runtime = app.extensions["trellis"]
        core = runtime.settings.core
        self._most = core.stream_max_connections
        self._held = 0
        self._threads = Threads(core.web_threads, "admission")
        self._hub = Hub(app, runtime.redis_url)

    def end(self) -> None:
        """End every open stream, in good order; their clients come back to whoever serves then."""
        self._hub.end_connections()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            scope["query_string"] = _in_ascii(scope["query_string"])
            if scope["path"] == PATH and scope["method"] in ("GET", "HEAD"):
                await self._stream(scope, receive, send)
            else:
                await self._others(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        make_room(self._most)
        await self._hub.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._hub.stop()
        await self._threads.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._held += 1
        try:
            connection = await self._admitted(scope, send)
            if connection is not None:
                await connection.run(receive)
        finally:
            self._held -= 1

    async def _admitted(self, scope: Scope, send: Send) -> Connection | None:
        """The connection of whoever may open one; all others have their answer already.

        What was needed to ask is left behind here: a stream would hold it for hours, and the server
        holds the scope as long.
        """
        environ = {**_environ(scope), FULL: self._held > self._most, PRINCIPAL: None}
        response = await self._threads.run(_call, self._app, environ)
        principal: Principal | None = environ[PRINCIPAL]
        if principal is None or scope["method"] == "HEAD":
            await _relay(response, send)
            return None
        scope.clear()
        return Connection(self._hub, principal, environ[CURSOR], _start(*response[:2]), send)

    async def _through_flask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Any other path of a stream process: health, or an honest 404; never a body to read."""
        await _relay(await self._threads.run(_call, self._app, _environ(scope)), send)


def _environ(scope: Scope) -> dict[str, Any]:
    environ: dict[str, Any] = build_environ(scope, io.BytesIO())  # type: ignore[arg-type, assignment]
    environ.pop("CONTENT_LENGTH", None)
    return environ


def _in_ascii(query_string: bytes) -> bytes:
    """The bridge takes ASCII only, and some clients send letters without escaping them."""
    return quote(query_string, safe=_ASCII).encode()


def front(app: Flask) -> Streams:
    """Streams on the event loop and Flask in a bounded pool of threads, at one address."""
    runtime: Runtime = app.extensions["trellis"]
    threads = runtime.settings.core.web_threads

    def flask(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # The bridge does not say that its input ends by itself: a body that came in chunks, without
        # a length, would read as empty.
        environ["wsgi.input_terminated"] = True
        return app.wsgi_app(environ, start_response)

    bridge: Any = WSGIMiddleware(flask, workers=threads)  # type: ignore[arg-type]

    async def bridged(scope: Scope, receive: Receive, send: Send) -> None:
        # What is raised here is raised to the view that reads the body.
        async def receive_message() -> Message:
            try:
                message = await asyncio.wait_for(receive(), _SILENT_SECONDS)
            except TimeoutError:
                raise RequestTimeout from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnected  # or the part that came would be read as the whole
            return message

        await bridge(scope, receive_message, send)

    return Streams(app, bridged)


Response = tuple[str, list[tuple[str, str]], bytes]


def _call(app: Flask, environ: dict[str, Any]) -> Response:
    """Run the WSGI application to its end; returns status line, headers and body."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        head[:] = [status, headers]

    body: Iterable[bytes] = app.wsgi_app(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return head[0], head[1], content


async def _relay(response: Response, send: Send) -> None:
    status, headers, body = response
    await send(_start(status, headers))
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _start(status: str, headers: list[tuple[str, str]]) -> Message:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": int(status[:3]), "headers": raw}
