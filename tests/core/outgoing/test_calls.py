"""B-18: the call goes to the very address that was checked, once, and is bounded in all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.core.outgoing.talker import Speak, Talker, certificate, saying

import trellis.outgoing
from trellis.jobs.limits import TurnOver, time_limit
from trellis.settings import Settings
from trellis_outgoing.calls import Caller, tls_context
from trellis_outgoing.hosts import Hosts
from trellis_outgoing.outcome import Answer, NoAnswer, TargetRefused

Talk = Callable[..., Talker]


@pytest.fixture
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """``trust("name")`` is a server's TLS context whose certificate says so, and is trusted."""

    def make(*names: str) -> Any:
        context, trusted = certificate(tmp_path, *names)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        tls_context.cache_clear()
        return context

    yield make
    tls_context.cache_clear()


def call(
    talker: Talker,
    host: str = "127.0.0.1",
    *,
    scheme: str = "http",
    addresses: Sequence[str] = ("127.0.0.1",),
    allow: Sequence[str] = ("127.0.0.1", "::1"),
    **options: Any,
) -> Answer:
    bounds = {"seconds": 20.0, "most_bytes": 1000, **options}
    with closing(Caller(Hosts.of(allow), lambda _host, _port: addresses)) as caller:
        return caller.post(
            f"{scheme}://{host}:{talker.port}/hook?a=b", b"{}", {"x-one": "1"}, **bounds
        )


# --- where it goes ------------------------------------------------------------------------------


def test_b18_a_name_is_resolved_once_and_what_it_says_later_does_not_count(talk: Talk) -> None:
    talker = talk()
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    url = f"http://rebind.example:{talker.port}/"
    with closing(Caller(Hosts.of(["127.0.0.1"]), rebinding)) as caller:
        # No resolver of this machine knows the name: the connection cannot but go where was checked
        assert caller.post(url, b"", {}, seconds=20).status == 200
        assert asked == ["rebind.example"]
        # The server has ended the connection; the next one is checked like the first.
        with pytest.raises(TargetRefused, match="https"):
            caller.post(url, b"", {}, seconds=20)
    assert len(talker.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_b18_this_machine_is_not_called_by_any_name(talk: Talk, host: str) -> None:
    talker = talk(tls=None)
    with pytest.raises(TargetRefused):
        Caller(Hosts.of([])).post(f"https://{host}:{talker.port}/", b"", {}, seconds=20)
    assert talker.requests == []


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/meta-data/", "//127.0.0.1/", "/elsewhere"]
)
def test_c12_a_redirect_is_an_answer_and_is_not_followed(talk: Talk, location: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    talker = talk(saying(head.encode()))
    answer = call(talker)
    assert (answer.status, answer.headers["location"]) == (302, location)
    assert len(talker.requests) == 1


def test_no_proxy_of_the_environment_is_used(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    talker, proxy = talk(), talk()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert call(talker).status == 200
    assert proxy.requests == []


def test_an_address_that_does_not_answer_leaves_time_for_the_next(talk: Talk) -> None:
    talker = talk()
    allow = ("127.0.0.0/8",)
    assert call(talker, "two.example", addresses=["127.0.0.9", "127.0.0.1"], allow=allow).status
    with pytest.raises(NoAnswer, match="ConnectionRefusedError"):
        call(talker, "none.example", addresses=["127.0.0.9", "127.0.0.8"], allow=allow)


def test_ipv6_is_called_with_brackets_in_its_host(talk: Talk) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    talker = talk(host="::1")
    assert call(talker, "[::1]", addresses=["::1"]).status == 200
    assert f"\r\nhost: [::1]:{talker.port}\r\n".encode() in talker.requests[0].lower()


def test_a_task_that_may_be_interrupted_does_not_call(
    talk: Talk, app_context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Settings.current().__dict__, "outgoing_allow", ["127.0.0.1"])
    talker = talk()
    url = f"http://127.0.0.1:{talker.port}/"
    with trellis.outgoing.caller() as caller:
        with pytest.raises(TurnOver), time_limit(20, turn=10):
            caller.post(url, b"", {})
        assert talker.requests == []
        with time_limit(20):
            assert caller.post(url, b"", {}).status == 200
    assert f"user-agent: Trellis/{trellis.__version__}\r\n".encode() in talker.requests[0]


# --- what is sent -------------------------------------------------------------------------------


def test_the_request_is_as_it_was_asked_for(talk: Talk) -> None:
    talker = talk()
    for _ in range(2):
        assert call(talker, "name.example").body == b"ok"
    first, second = talker.requests
    assert first == second
    assert first.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert first.endswith(b"\r\n\r\n{}")
    lines = first.lower().split(b"\r\n")
    expected = (b"x-one: 1", b"accept-encoding: identity")
    assert {f"host: name.example:{talker.port}".encode(), *expected} <= set(lines)


# --- TLS ------------------------------------------------------------------------------------------


def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    talk: Talk, trust: Any
) -> None:
    talker = talk(tls=trust("receiver.example"))
    assert call(talker, "receiver.example", scheme="https").status == 200
    for other in ("other.example", "127.0.0.1"):
        with pytest.raises(NoAnswer, match="certificate"):
            call(talker, other, scheme="https")
    assert len(talker.requests) == 1


def test_a_certificate_may_be_for_an_address(talk: Talk, trust: Any) -> None:
    assert call(talk(tls=trust("127.0.0.1")), scheme="https").status == 200


def test_a_certificate_that_nobody_vouches_for_is_refused(
    talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    tls_context.cache_clear()
    context, _ = certificate(tmp_path, "receiver.example")
    with pytest.raises(NoAnswer, match="certificate"):
        call(talk(tls=context), "receiver.example", scheme="https")


def test_a_server_without_tls_is_no_answer(talk: Talk) -> None:
    with pytest.raises(NoAnswer, match="could not be reached"):
        call(talk(), "receiver.example", scheme="https")


# --- hostile answers ------------------------------------------------------------------------------


def silent(connection: socket.socket) -> None:
    connection.settimeout(60)
    connection.recv(1)


def flood(head: bytes, piece: bytes) -> Speak:
    def speak(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece * 1000)

    return speak


@pytest.mark.parametrize(
    "speak",
    [
        saying(b""),
        saying(b"\x00\xff\x00 garbage\r\n\r\n"),
        saying(b"SSH-2.0-OpenSSH_9.2\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
        saying(b"HTTP/1.1 2000 OK\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nbroken"),
        flood(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        flood(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        flood(b"", b"y"),
    ],
    ids=["nothing", "garbage", "other", "length", "status", "half", "headers", "header", "line"],
)
def test_what_is_not_http_is_no_answer(talk: Talk, speak: Speak) -> None:
    with pytest.raises(NoAnswer):
        call(talk(speak))


def test_a_server_that_says_nothing_is_left_in_time(talk: Talk) -> None:
    with pytest.raises(NoAnswer, match="in time"):
        call(talk(silent), seconds=0.5)


@pytest.mark.parametrize("piece", [b"x: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_server_that_drips_is_left_in_time(talk: Talk, piece: bytes) -> None:
    """Each byte comes well within any time-out; only a deadline over all ends it."""
    talker = talk()

    def speak(connection: socket.socket) -> None:
        if b"100" not in piece:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
        talker.drip(piece)(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" * (b"100" in piece) + b"\r\n")

    talker._speak = speak
    with pytest.raises(NoAnswer, match="in time"):
        call(talker, seconds=1.0)


def test_a_handshake_that_never_ends_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://slow.example:{listener.getsockname()[1]}/"
        caller = Caller(Hosts.of(["127.0.0.1"]), lambda _host, _port: ["127.0.0.1"])
        with pytest.raises(NoAnswer, match="in time"):
            caller.post(url, b"", {}, seconds=0.5)


def test_a_resolver_that_never_answers_is_left_in_time() -> None:
    answered = threading.Event()

    def resolver(_host: str, _port: int) -> Sequence[str]:
        answered.wait(60)
        return []

    with pytest.raises(NoAnswer, match="resolved in time"):
        Caller(Hosts.of([]), resolver).post("https://slow.example/", b"", {}, seconds=0.3)
    answered.set()


def test_a_name_that_does_not_exist_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="cannot be resolved"):
        Caller(Hosts.of([])).post("https://nobody.invalid/", b"", {}, seconds=20)


def test_a_body_is_read_up_to_its_bound_and_no_further(talk: Talk) -> None:
    endless = flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n")
    answer = call(talk(endless), most_bytes=5000)
    assert (answer.status, len(answer.body)) == (200, 5000)


def test_a_body_that_drips_is_cut_off_and_the_status_counts(talk: Talk) -> None:
    talker = talk()

    def speak(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9999\r\n\r\n")
        talker.drip(b"y")(connection)

    talker._speak = speak
    answer = call(talker, seconds=1.0)
    assert answer.status == 202
    assert set(answer.body) <= set(b"y")


def test_a_compressed_bomb_stays_compressed(talk: Talk) -> None:
    bomb = b"\x1f\x8b" + bytes(500)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    assert call(talk(saying(head.encode() + bomb))).body == bomb
