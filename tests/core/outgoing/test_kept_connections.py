"""A connection that is kept for the next call goes nowhere else, and its end loses nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from tests.core.outgoing.talker import OK, Speak, Talker, read, saying

from trellis_outgoing.calls import Caller
from trellis_outgoing.hosts import Hosts
from trellis_outgoing.outcome import NoAnswer

Talk = Callable[..., Talker]


class Names:
    """A resolver: every name is this machine; ``asked`` are the names, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return ["127.0.0.1"]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def caller(names: Names) -> Iterator[Caller]:
    with closing(Caller(Hosts.of(["127.0.0.1"]), names)) as caller:
        yield caller


def post(caller: Caller, talker: Talker, host: str = "one.example", **bounds: float) -> int:
    url = f"http://{host}:{talker.port}/"
    return caller.post(url, b"{}", {}, seconds=bounds.get("seconds", 20), most_bytes=1000).status


def going_on(*later: bytes) -> Speak:
    """Answer, and then what comes on the same connection: with nothing, it is ended instead."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(OK)
        for text in later:
            if not read(connection):
                return
            connection.sendall(text)

    return speak


def test_calls_of_one_host_share_a_connection(talk: Talk, caller: Caller, names: Names) -> None:
    talker = talk(going_on(OK, OK))
    assert [post(caller, talker) for _ in range(3)] == [200] * 3
    assert names.asked == ["one.example"]
    assert len(talker.requests) == 1


def test_b18_another_name_at_the_same_address_has_its_own(
    talk: Talk, caller: Caller, names: Names
) -> None:
    talker = talk(going_on(OK, OK))
    for host in ("one.example", "two.example", "one.example"):
        assert post(caller, talker, host) == 200
    assert names.asked == ["one.example", "two.example", "one.example"]
    assert len(talker.requests) == 3


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 2"], ids=["nothing", "half"])
def test_what_a_connection_swallowed_as_it_ended_is_sent_once_more(
    talk: Talk, caller: Caller, names: Names, text: bytes
) -> None:
    talker = talk(going_on(text))
    assert [post(caller, talker) for _ in range(2)] == [200] * 2
    assert names.asked == ["one.example"] * 2
    assert len(talker.requests) == 2


def test_it_is_sent_only_once_more(talk: Talk, caller: Caller) -> None:
    talker = talk(going_on(b""))
    post(caller, talker)
    talker._speak = saying(b"")
    with pytest.raises(NoAnswer):
        post(caller, talker)
    assert len(talker.requests) == 2


def test_a_new_connection_that_fails_is_not_tried_again(talk: Talk, caller: Caller) -> None:
    talker = talk(saying(b""))
    with pytest.raises(NoAnswer):
        post(caller, talker)
    assert len(talker.requests) == 1


def test_each_call_has_its_own_time(talk: Talk, caller: Caller) -> None:
    talker = talk()

    def once(connection: socket.socket) -> None:
        connection.sendall(OK)
        connection.settimeout(60)
        read(connection)
        connection.recv(1)  # says nothing more, until the caller has gone

    talker._speak = once
    assert post(caller, talker) == 200
    with pytest.raises(NoAnswer, match="in time"):
        post(caller, talker, seconds=0.3)
    talker._speak = going_on()
    assert post(caller, talker) == 200


def test_what_was_not_read_of_one_answer_is_not_taken_for_the_next(
    talk: Talk, caller: Caller
) -> None:
    body = b"y" * 5000 + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    talker = talk(saying(head + body))
    assert [post(caller, talker) for _ in range(3)] == [200] * 3
    assert len(talker.requests) == 3
