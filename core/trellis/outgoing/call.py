"""The call itself: one request on a fresh connection, no redirect, no proxy, bounded in all."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import httpcore2
import httpx2

import trellis
from trellis.outgoing.client import Answer
from trellis.outgoing.connection import CheckedNetwork, Deadline
from trellis.outgoing.errors import NoAnswer
from trellis.outgoing.targets import Exceptions, Target, parse, permitted

Resolver = Callable[[str, int], Sequence[str]]

_MOST_ADDRESSES = 4


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the machine resolves it."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Caller:
    """Calls with given exceptions and a given resolver."""

    def __init__(self, exceptions: Exceptions, resolver: Resolver = system_resolver) -> None:
        self._exceptions = exceptions
        self._resolver = resolver

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, most_bytes: int
    ) -> Answer:
        """See `trellis.outgoing.post`."""
        deadline = Deadline(seconds)
        target = parse(url)
        addresses = permitted(target, self._resolve(target, deadline), self._exceptions)
        network = CheckedNetwork(addresses[:_MOST_ADDRESSES], deadline)
        try:
            with (
                httpcore2.ConnectionPool(
                    ssl_context=tls_context(), network_backend=network
                ) as pool,
                pool.stream(
                    "POST", _url(target), headers=_headers(target, headers), content=body
                ) as response,
            ):
                answered = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in response.headers
                }
                return Answer(response.status, answered, _read(response, most_bytes))
        except httpcore2.TimeoutException:
            raise NoAnswer("did not answer in time") from None
        except httpcore2.NetworkError as error:
            raise NoAnswer(f"could not be reached ({_reason(error)})") from None
        except httpcore2.ProtocolError:
            raise NoAnswer("did not answer as HTTP asks") from None

    def _resolve(self, target: Target, deadline: Deadline) -> Sequence[str]:
        """Resolve in a thread: nothing else can bound how long the system's resolver takes."""
        outcome: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                outcome.put(self._resolver(target.host, target.port))
            except (OSError, UnicodeError):
                outcome.put([])

        threading.Thread(target=resolve, daemon=True).start()
        try:
            resolved = outcome.get(timeout=deadline.left())
        except queue.Empty:
            raise NoAnswer("has a name that could not be resolved in time") from None
        if not resolved:
            raise NoAnswer("has a name that cannot be resolved")
        return resolved


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Certificates are checked against those of the system, or ``SSL_CERT_FILE``."""
    return httpx2.create_ssl_context()


def _url(target: Target) -> httpcore2.URL:
    return httpcore2.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )


def _headers(target: Target, headers: Mapping[str, str]) -> list[tuple[bytes | str, bytes | str]]:
    return [
        ("host", target.authority),
        ("user-agent", f"Trellis/{trellis.__version__}"),
        ("accept-encoding", "identity"),
        ("connection", "close"),
        *headers.items(),
    ]


def _read(response: httpcore2.Response, most: int) -> bytes:
    """The body as far as it comes; what the answer is, its head has told already."""
    body = b""
    try:
        for piece in response.iter_stream():
            body += piece
            if len(body) >= most:
                break
    except (NoAnswer, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass
    return body[:most]


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate: {cause.verify_message}"
    return type(cause).__name__
