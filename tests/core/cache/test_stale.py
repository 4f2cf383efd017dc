"""Two processes that keep values: what one has written, neither reads any older (E-14)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from redis import Redis, RedisError
from tests.core.cache.conftest import Node
from tests.processes import until

from trellis.app import cache_url
from trellis.db.base import db
from trellis.entries import append
from trellis.feed.sequencer import sequence
from trellis.feed.stale import record_of
from trellis_cache.tags import digest_of

Pair = tuple[Node, Node]


@pytest.fixture
def redis(app: Flask) -> Redis:
    return Redis.from_url(cache_url(app.extensions["trellis"].redis_url))


def commit_silently(node: Node, value: Any, *, positioned: bool = False) -> None:
    """As a process does that is killed right after its commit."""
    with node.app.app_context():
        with db.engine.begin() as connection:
            append(connection, [record_of([digest_of("core.a")])], [])
        node.written["a"] = value
        if positioned:
            sequence()


def test_e14_each_keeps_what_it_has_read(nodes: Pair) -> None:
    one, other = nodes
    one.write(1)
    assert [node.read() for node in (one, other) * 3] == [1] * 6
    assert one.computed + other.computed <= 3  # one each at the start, and one for both now
    until(lambda: (one.kept, other.kept) == (1, 1), "both on")


def test_e14_what_is_written_here_is_old_nowhere(nodes: Pair) -> None:
    one, other = nodes
    for number in range(50):
        writer, reader = (one, other) if number % 2 else (other, one)
        writer.write(number)
        assert (reader.kept, writer.kept) == (None, None)
        assert (reader.read(), writer.read()) == (number, number)


def test_e14_no_reader_gets_less_than_was_answered_before(nodes: Pair) -> None:
    written: dict[str, int] = dict.fromkeys("abcd", 0)

    def use(index: int) -> None:
        mine, node = "abcd"[index], nodes[index % 2]
        for number in range(1, 30):
            node.write(number, mine, everywhere=True)
            written[mine] = number
            for name in "abcd":
                at_least = written[name]
                for reader in nodes:
                    assert (reader.read(name) or 0) >= at_least

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))


@pytest.mark.parametrize("positioned", [False, True])
def test_e14_a_writer_that_died_before_it_told_anybody(nodes: Pair, positioned: bool) -> None:
    one, other = nodes
    one.write("old")
    assert (one.read(), other.read()) == ("old", "old")
    commit_silently(one, "new", positioned=positioned)
    until(lambda: other.read() == "new", "the new value")
    until(lambda: one.read() == "new", "the new value")


def test_e14_a_message_that_is_lost_is_found_in_the_feed(
    nodes: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = nodes
    one.write("old")
    assert other.read() == "old"
    monkeypatch.setattr(other.cache.channel, "_drop", lambda *_: None)
    one.write("new")
    until(lambda: other.read() == "new", "the new value")


def test_e14_what_takes_a_right_away_waits_for_who_does_not_answer(
    nodes: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = nodes
    one.write("old")
    assert other.read() == "old"
    monkeypatch.setattr(other.cache.channel, "_drop", lambda *_: _never())
    one.write("new", everywhere=True)
    assert other.kept is None
    assert other.read() == "new"


def _never() -> None:
    raise RedisError("nobody answers")


def test_e14_a_process_that_stands_still_keeps_nothing(nodes: Pair) -> None:
    one, other = nodes
    other.cache.follow.__self__.end()  # type: ignore[attr-defined]
    one.write("old")
    until(lambda: not other.cache.first.is_on, "a first level that is off")
    one.write("new", everywhere=True)  # nobody is waited for who keeps nothing
    assert (other.kept, other.read()) == (None, "new")


def test_e14_a_redis_that_stalls_has_nobody_keep_values(
    nodes: Pair, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = nodes
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        one.write("new", everywhere=True)
        assert (one.kept, other.kept) == (None, None)
        assert (one.read(), other.read()) == ("new", "new")
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: one.cache.first.is_on and other.cache.first.is_on, "both on again")
    assert (one.read(), other.read()) == ("new", "new")


def noted(redis: Redis) -> int:
    return int(redis.hget("trellis:cache:position", "position") or 0)


def test_e14_a_redis_that_has_forgotten_the_last_writes_is_told_again(
    nodes: Pair, redis: Redis
) -> None:
    one, other = nodes
    with one.app.app_context():
        one.write("old")
        sequence()
    assert other.read() == "old"
    until(
        lambda: int(redis.hget("trellis:cache:position", "position") or 0) > 0, "a noted position"
    )
    before = {key: redis.dump(key) for key in redis.scan_iter()}
    one.write("new")
    with one.app.app_context():
        sequence()
    until(lambda: noted(redis) > 1, "the next position")
    # As a server comes back from its last dump: with the old value, and without the invalidation.
    redis.flushdb()
    for key, value in before.items():
        redis.restore(key, 60_000, value)  # type: ignore[arg-type]
    until(lambda: one.read() == other.read() == "new" == one.kept, "the new value")


def test_e14_a_new_process_does_what_the_last_ones_left_undone(
    nodes: Pair, start: Callable[[], Node]
) -> None:
    one, _ = nodes
    one.write("old")
    assert one.read() == "old"
    for node in nodes:
        node.cache.follow.__self__.end()  # type: ignore[attr-defined]
    until(lambda: not any(node.cache.first.is_on for node in nodes), "nobody who keeps values")
    commit_silently(one, "new", positioned=True)
    late = start()
    late.until_on()
    assert late.read() == "new"


def test_who_is_not_a_process_of_requests_keeps_nothing(nodes: Pair) -> None:
    one, _ = nodes
    with one.app.app_context():
        value = one.cache.fetch("core", "key:work", [], 60, lambda: 1)
    assert value == 1
    assert one.cache.first.get("key:work") is not None  # it is there, for requests
