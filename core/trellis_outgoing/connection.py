"""Connections to addresses that were checked, with one deadline over all that happens on them.

The time-outs of HTTP libraries start again with every byte: a server that sends one every few
seconds would hold its caller for ever.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore2

from trellis_outgoing.hosts import Hosts
from trellis_outgoing.outcome import NoAnswer
from trellis_outgoing.targets import Target, permitted

Resolver = Callable[[str, int], Sequence[str]]

_MOST_ADDRESSES = 4
_WRITE_BYTES = 16 * 1024


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the machine resolves it."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class CheckedNetwork(httpcore2.NetworkBackend):
    """Resolves and checks for each connection, and connects to an address that passed.

    The name is then only what the certificate must say, and what stands in the request.
    """

    connected = False
    """Whether a connection was made since `begin`."""

    def __init__(self, exceptions: Hosts, resolver: Resolver) -> None:
        self._exceptions = exceptions
        self._resolver = resolver

    def begin(self, target: Target, seconds: float) -> None:
        """From now on connections are for this target, and nothing takes longer than so long."""
        self._target = target
        self._ends_at = time.monotonic() + seconds
        self.connected = False

    def left(self) -> float:
        """Seconds until the deadline. Raises NoAnswer when it has passed."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise NoAnswer("did not answer in time")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        self.connected = True
        addresses = permitted(self._target, self._resolve(), self._exceptions)[:_MOST_ADDRESSES]
        while True:
            address, *addresses = addresses
            share = self.left() / (1 + len(addresses))
            try:
                stream = httpcore2.SyncBackend().connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return _BoundedStream(stream, self)

    def _resolve(self) -> Sequence[str]:
        """Resolve in a thread: nothing else can bound how long the system's resolver takes."""
        outcome: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
        target = self._target

        def resolve() -> None:
            try:
                outcome.put(self._resolver(target.host, target.port))
            except (OSError, UnicodeError):
                outcome.put([])

        threading.Thread(target=resolve, daemon=True).start()
        try:
            resolved = outcome.get(timeout=self.left())
        except queue.Empty:
            raise NoAnswer("has a name that could not be resolved in time") from None
        if not resolved:
            raise NoAnswer("has a name that cannot be resolved")
        return resolved


class _BoundedStream(httpcore2.NetworkStream):
    """A stream that waits until its network's deadline and never longer."""

    def __init__(self, stream: httpcore2.NetworkStream, network: CheckedNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            self._stream.write(buffer[start : start + _WRITE_BYTES], self._network.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._network.left())
        return _BoundedStream(stream, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
