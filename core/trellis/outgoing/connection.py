"""Connections to addresses that were checked, with one deadline over all that happens on them.

The time-outs of HTTP libraries start again with every byte: a server that sends one every few
seconds would hold its caller for ever.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2

from trellis.outgoing.errors import NoAnswer
from trellis.outgoing.targets import IPAddress

_WRITE_BYTES = 16 * 1024


class Deadline:
    """A moment after which nothing more is waited for."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then. Raises NoAnswer when it has passed."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise NoAnswer("did not answer in time")
        return left


class CheckedNetwork(httpcore2.NetworkBackend):
    """Connects to one of the given addresses, whatever name it is asked for.

    The name is only what the certificate must say, and what stands in the request.
    """

    def __init__(self, addresses: Sequence[IPAddress], deadline: Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        untried = len(self._addresses)
        for address in self._addresses:
            share = self._deadline.left() / untried
            untried -= 1
            try:
                stream = httpcore2.SyncBackend().connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not untried:
                    raise
            else:
                return _BoundedStream(stream, self._deadline)
        raise NoAnswer("has no address")


class _BoundedStream(httpcore2.NetworkStream):
    """A stream that waits until the deadline and never longer."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            self._stream.write(buffer[start : start + _WRITE_BYTES], self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
