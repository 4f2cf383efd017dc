"""Two stream processes on PostgreSQL and Redis: clients pass from one to the other, and faults."""

from __future__ import annotations

import signal

import httpx2
import pytest
from tests.core.stream.follower import Follower
from tests.core.stream.rig import Rig
from tests.processes import PATIENCE, until

from trellis.db.base import db

# What a killed server leaves open in the driver is found when the garbage is collected.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


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
    with rig.app.app_context():
        db.engine.dispose()  # of the test, which repeats nothing
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
    rig.first.send(signal.SIGSTOP)
    rig.write(ada, 1)
    other.until_number(1)
    rig.first.send(signal.SIGCONT)
    follower.until_number(1)
    rig.write(ada, 2)
    for each in (follower, other):
        each.until_number(2)
        assert each.numbers == [1, 2]
