"""Two stream processes on PostgreSQL and Redis: clients pass from one to the other, and faults."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from uuid import UUID

import httpx2
import pytest
from flask import Flask
from tests.core.stream.follower import Follower
from tests.processes import PATIENCE, free_port, until
from tests.servers import RedisServer

from trellis.contracts import Identity, port
from trellis.events import Event, user_audience
from trellis.testing.databases import PostgreSQLDatabase
from trellis.testing.environment import Environment
from trellis.testing.postgresql import DURABLE, PostgreSQL
from trellis.unit_of_work import unit_of_work
from trellis_auth import factories
from trellis_auth.services import endings

# What a killed server leaves open in the driver is found when the garbage is collected.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@dataclass(frozen=True)
class NoteWritten(Event):
    """An event of these tests; ``text`` may be long."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Literal["created"]] = "created"
    number: int
    reader_id: UUID
    text: str = ""

    def resource_id(self) -> str:
        return str(self.number)

    def audience(self) -> str:
        return user_audience(self.reader_id)


class Process:
    """One `trellis stream`."""

    def __init__(self, log: Path, redis: RedisServer, public_url: str) -> None:
        number = free_port()
        self.url = f"http://127.0.0.1:{number}"
        environ = {
            **os.environ,
            "TRELLIS_PORT": str(number),
            "TRELLIS_PUBLIC_URL": public_url,  # who issued the tokens
            "TRELLIS_REDIS_URL": redis.url(),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trellis", "stream"],
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> bool:
        assert self.process.poll() is None
        with suppress(httpx2.TransportError):
            return httpx2.get(f"{self.url}/health/live").status_code == 200
        return False

    def stop(self) -> int:
        """What an upgrade does; returns the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Rig:
    """The servers, two stream processes, and people who write and read."""

    def __init__(self, app: Flask, server: PostgreSQL, redis: RedisServer, log: Path) -> None:
        self.app, self.server, self.redis, self._log = app, server, redis, log
        app.extensions["trellis"].event_types[NoteWritten] = "core.note_written/1"
        self.first, self.second = self.start(), self.start()
        until(lambda: self.first.ready() and self.second.ready(), "two stream processes")
        self.followers: list[Follower] = []

    def start(self) -> Process:
        core = self.app.extensions["trellis"].settings.core
        return Process(self._log, self.redis, core.base_url)

    def person(self) -> tuple[UUID, str]:
        """A new person, and an access token of theirs."""
        with self.app.app_context():
            self._seed = getattr(self, "_seed", 0) + 1
            [user_id] = factories.users(1, seed=self._seed)
            [tokens] = factories.sessions([user_id])
            return user_id, tokens.access_token

    def write(self, reader: UUID, *numbers: int, text: str = "") -> None:
        with self.app.app_context(), unit_of_work() as uow:
            for number in numbers:
                uow.publish(NoteWritten(number, reader, text))

    def follow(self, process: Process, token: str, last: int | None = None) -> Follower:
        self.followers.append(follower := Follower(process.url, token, last))
        return follower.read()

    def end_session(self, user_id: UUID, token: str) -> None:
        with self.app.app_context():
            principal = port(Identity).authenticate(f"Bearer {token}")
            assert principal is not None
            assert principal.session_id is not None
            endings.end_own_session(user_id, principal.session_id)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("streams")
    server, redis = PostgreSQL(DURABLE), RedisServer(directory / "redis")
    server.start()
    redis.start()
    rig = None
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            Environment.started(directory / "var", PostgreSQLDatabase(server.url())) as environment,
        ):
            patch.setenv("TRELLIS_REDIS_URL", redis.url())
            rig = Rig(environment.app, server, redis, directory / "streams.log")
            yield rig
    finally:
        if rig is not None:
            for process in (rig.first, rig.second):
                process.process.kill()
                process.process.wait(PATIENCE)
        redis.kill()
        server.close()
        gc.collect()


@pytest.fixture
def rig(installed: Rig) -> Iterator[Rig]:
    yield installed
    while installed.followers:
        installed.followers.pop().close()


def test_a_stream_is_resumed_at_another_process(rig: Rig) -> None:
    ada, token = rig.person()
    follower = rig.follow(rig.first, token)
    rig.write(ada, 1, 2)
    follower.until_number(2)
    follower.close()
    rig.write(ada, 3, 4)
    again = rig.follow(rig.second, token, follower.cursor)
    rig.write(ada, 5)
    again.until_number(5)
    assert again.numbers == [3, 4, 5]


def test_clients_that_change_processes_all_the_time_miss_nothing(rig: Rig) -> None:
    ada, token = rig.person()
    seen: list[int] = []
    cursor: int | None = None
    processes = [rig.first, rig.second]
    for round_ in range(12):
        follower = rig.follow(processes[round_ % 2], token, cursor)
        rig.write(ada, 2 * round_, 2 * round_ + 1)
        follower.until_number(2 * round_)
        follower.close()
        follower.ended.wait(PATIENCE)
        seen += follower.numbers
        cursor = follower.cursor
    rig.write(ada, 24)
    last = rig.follow(rig.first, token, cursor)
    last.until_number(24)
    assert seen + last.numbers == list(range(25))


def test_streams_go_on_without_redis_and_with_a_new_one(rig: Rig) -> None:
    ada, token = rig.person()
    followers = [rig.follow(process, token) for process in (rig.first, rig.second)]
    rig.redis.kill()
    rig.write(ada, 1)
    for follower in followers:
        follower.until_number(1)
    rig.redis.start()
    rig.write(ada, 2)
    for follower in followers:
        follower.until_number(2)
        assert follower.numbers == [1, 2]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_streams_go_on_after_the_database_was_away(rig: Rig, how: str) -> None:
    ada, token = rig.person()
    followers = [rig.follow(process, token) for process in (rig.first, rig.second)]
    rig.write(ada, 1)
    for follower in followers:
        follower.until_number(1)
    getattr(rig.server, how)()
    refused = Follower(rig.first.url, token)
    assert refused.status == 503
    refused.close()
    rig.server.start()
    rig.write(ada, 2)
    for follower in followers:
        follower.until_number(2)
        assert follower.numbers == [1, 2]
        assert not follower.ended.is_set()


@pytest.mark.parametrize("redis", [True, False])
def test_a_stream_ends_with_its_session_in_every_process(rig: Rig, redis: bool) -> None:
    (ada, adas), (bob, bobs) = rig.person(), rig.person()
    of_ada = [rig.follow(process, adas) for process in (rig.first, rig.second)]
    of_bob = [rig.follow(process, bobs) for process in (rig.first, rig.second)]
    if not redis:
        rig.redis.kill()
    rig.end_session(ada, adas)
    for follower in of_ada:
        follower.until_ended()
        assert not follower.broken
        assert follower.numbers == []
    if not redis:
        rig.redis.start()
    rig.write(bob, 1)
    for follower in of_bob:
        follower.until_number(1)


@pytest.mark.nightly  # its bounded sibling is in test_endings.py
def test_a_slow_reader_is_cut_and_nobody_else_is(rig: Rig) -> None:
    ada, token = rig.person()
    slow = Follower(rig.first.url, token, buffer=4096)
    rig.followers.append(slow)
    quick = rig.follow(rig.first, token)
    text = "x" * 20_000  # more than kernels keep for a reader who does not read
    for first in range(0, 1200, 50):
        rig.write(ada, *range(first, first + 50), text=text)
        quick.until_number(first + 49)
    slow.read()
    slow.until_ended()
    assert not slow.broken
    assert slow.numbers == list(range(len(slow.numbers)))
    assert len(slow.numbers) < 1200
    again = rig.follow(rig.second, token, slow.cursor)
    again.until_number(1199)
    assert slow.numbers + again.numbers == quick.numbers == list(range(1200))


def test_head_tells_what_a_stream_would_begin_with(rig: Rig) -> None:
    _, token = rig.person()
    url = f"{rig.first.url}/v1/stream"
    answer = httpx2.head(url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert httpx2.head(url).status_code == 401


def test_sigterm_ends_streams_in_good_order(rig: Rig) -> None:
    ada, token = rig.person()
    rig.write(ada, 1)
    followers = [rig.follow(rig.first, token, 0) for _ in range(3)]
    staying = rig.follow(rig.second, token, 0)
    for follower in followers:
        follower.until_number(1)
    assert rig.first.stop() == 0
    for follower in followers:
        follower.until_ended()
        assert not follower.broken
    rig.write(ada, 2)
    staying.until_number(2)
    again = rig.follow(rig.second, token, followers[0].cursor)
    again.until_number(2)
    assert again.numbers == [2]
    rig.first = rig.start()
    until(rig.first.ready, "another process")


def test_a_process_that_was_stopped_for_a_while_goes_on(rig: Rig) -> None:
    ada, token = rig.person()
    follower, other = rig.follow(rig.first, token), rig.follow(rig.second, token)
    children = _members(rig.first.process.pid)
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    rig.write(ada, 1)
    other.until_number(1)
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    follower.until_number(1)
    rig.write(ada, 2)
    follower.until_number(2)
    assert follower.numbers == other.numbers == [1, 2]


def _members(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [*map(int, children), pid]
