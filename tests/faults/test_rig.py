"""The rig itself: without a fault nothing is wrong, and the proxy does what it says."""

from __future__ import annotations

import gc
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.faults.conftest import SteadyLoad
from tests.installation import Installation
from tests.processes import until
from tests.proxy import Proxy


@pytest.mark.nightly
def test_f00_no_fault_at_all(site: Installation, steady_load: SteadyLoad) -> None:
    with steady_load(site) as load:
        load.until_round()
    assert set(load.journal.answers()) <= {200, 201, 202, 204}


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):  # cut on purpose
            while data := self.request.recv(1024):
                self.request.sendall(data)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it is told."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    """In front of the echo, and of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    with closing(Proxy(nobody, echo)) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def said(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    return connection.recv(1024)


def test_the_proxy_passes_on_from_whoever_accepts(proxy: Proxy) -> None:
    for _ in range(4):
        with connect(proxy) as connection:
            assert said(connection, b"hello") == b"hello"


def test_the_proxy_refuses_and_comes_back(proxy: Proxy) -> None:
    with connect(proxy) as before:
        assert said(before, b"hello") == b"hello"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            before.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.restore()
    with connect(proxy) as after:
        assert said(after, b"hello") == b"hello"
    until(lambda: proxy.connections == 0, "no connection left")


def test_the_proxy_holds_back_what_a_blackhole_swallows(proxy: Proxy) -> None:
    proxy.blackhole()
    with connect(proxy) as connection:
        connection.sendall(b"hello")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1024)
        proxy.restore()
        connection.settimeout(10)
        assert connection.recv(1024) == b"hello"


def test_the_proxy_leaves_nothing_open(echo: int) -> None:
    """Whatever it was about to do: accept, connect, or pass on (what stays open warns)."""
    for _ in range(20):
        proxy = Proxy(echo)
        connections = [connect(proxy) for _ in range(5)]
        proxy.close()
        for connection in connections:
            connection.close()
        del proxy
        gc.collect()


def test_the_proxy_delays(proxy: Proxy) -> None:
    proxy.delay(0.1, jitter=0.02)
    with connect(proxy) as connection:
        began = time.monotonic()
        assert said(connection, b"hello") == b"hello"
        assert time.monotonic() - began > 0.15  # there and back


def test_the_proxy_cuts_after_some_bytes(proxy: Proxy) -> None:
    proxy.cut_after(3)
    with connect(proxy) as connection:
        assert said(connection, b"hello") == b"hel"
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_the_proxy_cuts_the_reply_to_some_words(proxy: Proxy) -> None:
    proxy.cut(lambda data: b"COMMIT" in data)
    with connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"
        with pytest.raises(ConnectionResetError):
            said(connection, b"COMMIT")
    assert proxy.cuts == 1


def test_every_fault_is_on_the_page_of_promises_and_the_reverse() -> None:
    here = Path(__file__).parent
    page = (here.parents[1] / "docs/operations/promises.md").read_text()
    named = set(re.findall(r"`(test_f\d\d_)` in `(\S+)`", page))
    tests = {
        (prefix, f"tests/faults/{file.name}")
        for file in here.glob("test_*.py")
        for prefix in re.findall(r"^def (test_f\d\d_)", file.read_text(), re.MULTILINE)
    }
    assert named == tests
