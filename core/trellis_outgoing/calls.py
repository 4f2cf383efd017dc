"""The calls themselves: no redirect, no proxy, bounded in all, one connection after the other."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache

import httpcore2
import httpx2

from trellis_outgoing.connection import CheckedNetwork, Resolver, system_resolver
from trellis_outgoing.hosts import Hosts
from trellis_outgoing.outcome import Answer, NoAnswer
from trellis_outgoing.targets import Target, parse


class Caller:
    """Calls with given exceptions and a given resolver; `first` is called before each.

    A connection is kept for the next call of the same origin; each new one is resolved and checked.
    """

    def __init__(
        self,
        exceptions: Hosts,
        resolver: Resolver = system_resolver,
        *,
        agent: str = "Trellis",
        first: Callable[[], None] = lambda: None,
    ) -> None:
        self._agent, self._first = agent, first
        self._network = CheckedNetwork(exceptions, resolver)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls_context(), max_connections=1, network_backend=self._network
        )

    def close(self) -> None:
        """Close what is kept."""
        self._pool.close()

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        seconds: float = 10.0,
        most_bytes: int = 64 * 1024,
    ) -> Answer:
        """POST to an address that a user has given; the answer may be any, a redirect included.

        Takes ``seconds`` at most, from the name's resolution to the answer's end. Raises
        TargetRefused before anything is sent, and NoAnswer. It may arrive twice: what a kept
        connection swallowed as it ended is sent once more.
        """
        self._first()
        target = parse(url)
        self._network.begin(target, seconds)
        try:
            try:
                return self._exchange(target, body, headers, most_bytes)
            except (httpcore2.NetworkError, httpcore2.ProtocolError):
                if self._network.connected:
                    raise
                # A server may end an idle connection at any moment (RFC 9112, section 9.3.1).
                return self._exchange(target, body, headers, most_bytes)
        except httpcore2.TimeoutException:
            raise NoAnswer("did not answer in time") from None
        except httpcore2.NetworkError as error:
            raise NoAnswer(f"could not be reached ({_reason(error)})") from None
        except httpcore2.ProtocolError:
            raise NoAnswer("did not answer as HTTP asks") from None

    def _exchange(
        self, target: Target, body: bytes, headers: Mapping[str, str], most_bytes: int
    ) -> Answer:
        with self._pool.stream(
            "POST", _url(target), headers=self._headers(target, headers), content=body
        ) as response:
            answered = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            return Answer(response.status, answered, _read(response, most_bytes))

    def _headers(
        self, target: Target, headers: Mapping[str, str]
    ) -> list[tuple[bytes | str, bytes | str]]:
        return [
            ("host", target.authority),
            ("user-agent", self._agent),
            ("accept-encoding", "identity"),
            *headers.items(),
        ]


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
