"""What event streams cost the process that holds them, and how quickly news reaches them.

    python perf/micro/idle_streams.py 10000 --active 1000

Starts a PostgreSQL, a broker and one `trellis stream` of its own. Opens a stream for each of so
many sessions, tells what they cost while nothing happens, then commits events for the first of them
and tells the delay from before each commit to the client, then ends sessions and tells when their
streams end. Memory and processor time are those of the stream process (from /proc: on Linux).

All clients are one event loop on the same machine, and the delay has its lag in it. So that is told
beside it, and which part of the delay the commits took and which came after them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from uuid import UUID

from flask import Flask

from trellis.events import Event, user_audience
from trellis.local.broker import Broker
from trellis.testing.postgresql import PostgreSQL

_OPENING_AT_ONCE = 50
_IDLE_SECONDS = 30
_PER_SECOND = 200
_EVENTS = 4000
_REVOKED = 200
_LAG_SECONDS = 0.005
_PEOPLE = "people"
_COMMITS = "commits"


@dataclass(frozen=True)
class Probe(Event):
    """Carries the moment before its commit, by the clock that all processes of a machine share."""

    resource: ClassVar[str] = "probe"
    operation: ClassVar[Literal["created"]] = "created"
    at: float
    reader_id: UUID

    def resource_id(self) -> str:
        return "1"

    def audience(self) -> str:
        return user_audience(self.reader_id)


News = tuple[float, float]
"""Of an event: the moment before its commit, which it carries, and when it came."""


class Stream(asyncio.Protocol):
    """One client; it keeps nothing of what it gets but when each event was told, and came."""

    def __init__(self, port: int, token: str, news: list[News]) -> None:
        self._request = (
            f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
        self._news = news
        self._rest = b""
        self.opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._rest += data
            if b"\nid: " in self._rest or b" 200 " not in self._rest:
                self.opened.set_result(b" 200 " in self._rest)
                self._rest = b""
            return
        if data.endswith(b"0\r\n\r\n"):
            self.ended_at = time.monotonic()
            return
        now = time.monotonic()
        for part in data.split(b'"at": ')[1:]:
            self._news.append((float(part.partition(b",")[0]), now))

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended_at = time.monotonic()
        if not self.opened.done():
            self.opened.set_result(False)


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="streams to open")
    parser.add_argument("--active", type=int, default=1000, help="of these, how many get news")
    options = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _surroundings(stack, directory, options.count)
        from trellis.app import create_app

        app = create_app()
        people, tokens = _people(app, options.count)
        (directory / _PEOPLE).write_text("\n".join(map(str, people[: options.active])))
        server = stack.enter_context(_serving(port))
        asyncio.run(_measure(app, server, port, tokens, directory / _PEOPLE))


def _surroundings(stack: ExitStack, directory: Path, count: int) -> int:
    server = PostgreSQL()
    stack.callback(server.close)
    server.start()
    broker = stack.enter_context(Broker(directory))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    os.environ |= {
        "TRELLIS_ENVIRONMENT": "testing",
        "TRELLIS_DATA_DIR": str(directory),
        "TRELLIS_DATABASE_URL": server.url(),
        "TRELLIS_REDIS_URL": broker.url,
        "TRELLIS_PORT": str(port),
        "TRELLIS_STREAM_MAX_CONNECTIONS": str(count + 100),
    }
    _trellis("db", "upgrade").wait()
    return port


def _people(app: Flask, count: int) -> tuple[list[UUID], list[str]]:
    from trellis_auth import factories

    with app.app_context():
        people = factories.users(count)
        return people, [tokens.access_token for tokens in factories.sessions(people)]


@contextmanager
def _serving(port: int) -> Iterator[int]:
    """A stream process; gives the id of the process that holds the connections."""
    process = _trellis("stream")
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert process.poll() is None, "the stream process has ended"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield max(map(int, children))  # beside it there is the resource tracker, which is older
    finally:
        process.terminate()
        process.wait()


def _trellis(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "trellis", *arguments])


async def _measure(app: Flask, server: int, port: int, tokens: list[str], people: Path) -> None:
    before, began = memory(server), time.perf_counter()
    news: list[News] = []
    gate = asyncio.Semaphore(_OPENING_AT_ONCE)
    streams = await asyncio.gather(*(_opened(port, token, news, gate) for token in tokens))
    opened = sum(stream.opened.result() for stream in streams)
    say("opened", f"{opened} of {len(streams)} in {time.perf_counter() - began:.1f} s")
    await asyncio.sleep(5)
    grown = memory(server) - before
    say("memory", f"{before / 1024:.0f} MiB, then {grown / opened:.1f} KiB for each stream")
    spent = processor_seconds(server)
    await asyncio.sleep(_IDLE_SECONDS)
    share = (processor_seconds(server) - spent) / _IDLE_SECONDS
    say("idle", f"{100 * share:.1f} % of one core")
    spent = processor_seconds(server)
    lags: list[float] = []
    ticking = asyncio.create_task(_tick(lags))
    publisher = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--publish", str(people), str(_EVENTS)
    )
    await publisher.wait()
    await asyncio.sleep(3)
    ticking.cancel()
    share = (processor_seconds(server) - spent) / (_EVENTS / _PER_SECOND)
    say(
        "news", f"{len(news)} of {_EVENTS}, {_PER_SECOND} a second; {100 * share:.0f} % of one core"
    )
    commits = dict(map(_moments, people.with_name(_COMMITS).read_text().splitlines()))
    say("delay", spread([came - at for at, came in news]))
    say("  commit", spread([done - at for at, done in commits.items()]))
    say("  after", spread([max(0.0, came - commits[at]) for at, came in news]))
    say("client", f"lag {spread(lags)}")
    await _revoke(app, streams, tokens)


async def _tick(lags: list[float]) -> None:
    """By how much this loop comes late to what it has to do."""
    while True:
        due = time.monotonic() + _LAG_SECONDS
        await asyncio.sleep(_LAG_SECONDS)
        lags.append(max(0.0, time.monotonic() - due))


def _moments(line: str) -> tuple[float, float]:
    at, _, done = line.partition(" ")
    return float(at), float(done)


async def _opened(port: int, token: str, news: list[News], gate: asyncio.Semaphore) -> Stream:
    async with gate:
        _, stream = await asyncio.get_running_loop().create_connection(
            lambda: Stream(port, token, news), "127.0.0.1", port
        )
        await stream.opened
        return stream


async def _revoke(app: Flask, streams: list[Stream], tokens: list[str]) -> None:
    from trellis.contracts import Identity, port
    from trellis_auth.services.endings import end_own_session

    def end() -> None:
        with app.app_context():
            for token in tokens[-_REVOKED:]:
                principal = port(Identity).authenticate(f"Bearer {token}")
                assert principal is not None
                assert principal.session_id is not None
                end_own_session(principal.id, principal.session_id)

    began = time.monotonic()
    await asyncio.to_thread(end)
    ended = time.monotonic()
    await asyncio.sleep(6)
    ends = [stream.ended_at for stream in streams[-_REVOKED:]]
    assert all(ends), "a stream outlived its session"
    say(
        "revoked",
        f"{_REVOKED} in {ended - began:.1f} s; the last {max(ends) - ended:.1f} s after",
    )
    assert not any(stream.ended_at for stream in streams[:-_REVOKED])


def publish(people: Path, count: int) -> None:
    """Commit events for people in turn, at an even pace, each in a unit of its own."""
    from trellis.app import create_app
    from trellis.unit_of_work import unit_of_work

    app = create_app()
    app.extensions["trellis"].event_types[Probe] = "core.probe/1"
    readers = [UUID(line) for line in people.read_text().split()]
    began = time.monotonic()
    with app.app_context(), people.with_name(_COMMITS).open("w") as commits:
        for number in range(count):
            time.sleep(max(0.0, began + number / _PER_SECOND - time.monotonic()))
            at = time.monotonic()
            with unit_of_work() as uow:
                uow.publish(Probe(at, readers[number % len(readers)]))
            print(at, time.monotonic(), file=commits)


def say(what: str, found: str) -> None:
    """One line of the result."""
    print(f"{what:<10}{found}", flush=True)


def spread(seconds: list[float]) -> str:
    """Median, 99th percentile and the most, in milliseconds."""
    found = [1000 * each for each in sorted(seconds)]
    p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {found[-1]:.0f} ms"


def memory(pid: int) -> float:
    """Resident memory in KiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def processor_seconds(pid: int) -> float:
    """Processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1] == "--publish":
        publish(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
