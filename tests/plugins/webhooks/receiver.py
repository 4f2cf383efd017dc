"""A receiver of webhooks: a real server that checks signatures with the independent library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The body; WebhookVerificationError when the secret did not sign it."""
        told: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return told


@dataclass
class Answers:
    """What it answers: a status with headers, or whatever ``speak`` writes."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    speak: Callable[[Any], object] | None = None


class Receiver(ThreadingHTTPServer):
    """Listens on a port of its own; ``calls`` are the requests so far, in order.

    ``connections`` counts those on which they came: each is kept, as long as the caller likes.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self.closed = threading.Event()
        self.answers: dict[str, Answers] = {}
        self.default = Answers()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def close(self) -> None:
        self.closed.set()
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append(Call(self.path, headers, body))
        answers = self.server.answers.get(self.path, self.server.default)
        if answers.speak is not None:
            answers.speak(self.wfile)
            return
        self.send_response(answers.status)
        for name, value in answers.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
