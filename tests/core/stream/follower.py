"""A phone that follows a stream over HTTP, from a thread of its own."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from tests.processes import PATIENCE, until


class Follower:
    """One connection to one stream process; it does not come back by itself."""

    def __init__(self, url: str, token: str, last: int | None = None, buffer: int = 0) -> None:
        """With a small ``buffer`` (bytes) the kernel takes little that nobody reads."""
        address = urlsplit(url)
        assert address.hostname is not None
        self._connection = http.client.HTTPConnection(address.hostname, address.port or 80)
        self._connection.sock = self._socket = sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(PATIENCE)
        sock.connect((address.hostname, address.port))
        headers = {"Authorization": f"Bearer {token}"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self._connection.request("GET", "/v1/stream", headers=headers)
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.cursor = 0
        """Of the last event that came."""
        self.numbers: list[int] = []
        self.events: list[str] = []
        self.ended = threading.Event()
        self.broken = False
        """Whether it ended in the midst instead of in good order."""
        self._thread = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        """Begin to read what comes."""
        assert self.status == 200, self._response.read()
        self._thread.start()

    def read(self) -> Follower:
        """Begin to read, and wait for the opening."""
        self.begin()
        until(lambda: self.cursor >= 0 and self._opened, "the opening of a stream")
        return self

    def until_number(self, number: int) -> None:
        """Wait until a note has come."""
        until(lambda: number in self.numbers, f"number {number}")

    def until_ended(self) -> None:
        """Wait until the server has ended the stream."""
        assert self.ended.wait(PATIENCE), "the stream has not ended"

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # or the reader keeps it until the next ping
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)
        self._response.close()
        self._connection.close()

    _opened = False

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                name, _, value = line.decode().strip().partition(": ")
                if name == "id":
                    cursor = int(value)
                elif name == "event":
                    self.events.append(value)
                elif name == "data":
                    self._take(json.loads(value))
                elif not line.strip():
                    self.cursor, self._opened = cursor, True
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            self.broken = True
        self.ended.set()

    def _take(self, data: dict[str, Any]) -> None:
        if data["type"] == "core.note_written/1":
            self.numbers.append(data["payload"]["number"])


class Wanderer:
    """A phone that comes back with its cursor, to one process or the other, until it is closed."""

    def __init__(self, urls: Callable[[], list[str]], token: str) -> None:
        self._urls, self._token = urls, token
        self._followers: list[Follower] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._wander, daemon=True)
        self._thread.start()

    @property
    def numbers(self) -> list[int]:
        """Of the notes that came, in their order."""
        return [number for follower in self._followers for number in follower.numbers]

    def close(self) -> None:
        """Hang up for good."""
        self._closed.set()
        self._thread.join(PATIENCE)
        for follower in self._followers:
            follower.close()

    def _wander(self) -> None:
        cursor = turn = 0
        while not self._closed.is_set():
            turn += 1
            urls = self._urls()
            try:
                follower = Follower(urls[turn % len(urls)], self._token, cursor)
            except (OSError, http.client.HTTPException):
                self._closed.wait(0.05)  # nobody listens there now
                continue
            if follower.status != 200:
                follower.close()
                self._closed.wait(0.05)
                continue
            self._followers.append(follower)
            follower.begin()
            while not (follower.ended.wait(0.05) or self._closed.is_set()):
                pass
            cursor = max(cursor, follower.cursor)
