"""One hot key that is not kept is computed once, however many ask for it at once (E-14)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from tests.core.cache.conftest import Node
from tests.processes import PATIENCE, until

from trellis.app import cache_url

Pair = tuple[Node, Node]


@pytest.fixture
def redis(app: Flask) -> Redis:
    return Redis.from_url(cache_url(app.extensions["trellis"].redis_url))


class Crowd:
    """Readers of two processes who all ask while one of them computes."""

    def __init__(self, nodes: Pair, count: int = 12, **options: Any) -> None:
        self._nodes, self._options = nodes, options
        self._pool = ThreadPoolExecutor(count)
        self._count = count
        self.computing, self.may_end = threading.Event(), threading.Event()
        for node in nodes:
            node.while_computing = self._compute

    def ask(self) -> list[Any]:
        """Begin; the futures of what each gets."""
        readers = [self._nodes[number % 2] for number in range(self._count)]
        asked = [self._pool.submit(reader.read, **self._options) for reader in readers]
        assert self.computing.wait(PATIENCE)
        return asked

    def _compute(self) -> None:
        self.computing.set()
        assert self.may_end.wait(PATIENCE)

    @property
    def computed(self) -> int:
        return sum(node.computed for node in self._nodes)


def test_e14_all_who_miss_at_once_cost_one_computation(nodes: Pair) -> None:
    nodes[0].write("a value")
    before = sum(node.computed for node in nodes)
    crowd = Crowd(nodes)
    asked = crowd.ask()
    crowd.may_end.set()
    assert [one.result(PATIENCE) for one in asked] == ["a value"] * 12
    assert crowd.computed - before == 1


def test_e14_when_it_fails_the_next_one_computes(nodes: Pair) -> None:
    nodes[0].write("a value")
    failed = threading.Event()

    def fail_once() -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("the database is away")

    for node in nodes:
        node.while_computing = fail_once
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(nodes[number % 2].read) for number in range(8)]
    outcomes = [one.exception() or one.result() for one in asked]
    assert [type(one) for one in outcomes].count(RuntimeError) == 1
    assert outcomes.count("a value") == 7


def test_e14_who_died_while_computing_is_not_waited_for(nodes: Pair, redis: Redis) -> None:
    one, _ = nodes
    one.write("a value")
    redis.set("key:a:computing", "somebody who is gone", px=300)
    assert one.read() == "a value"


def test_e14_what_is_written_meanwhile_is_read_by_who_waited(nodes: Pair) -> None:
    one, other = nodes
    one.write("old")
    crowd = Crowd((one, one), count=1)
    [asked] = crowd.ask()
    other.while_computing = lambda: None
    other.write("new", everywhere=True)
    waits = ThreadPoolExecutor(1).submit(other.read)
    crowd.may_end.set()
    assert asked.result(PATIENCE) == "old"  # it asked before
    assert waits.result(PATIENCE) == "new"
    assert [node.read() for node in nodes] == ["new", "new"]


def age(redis: Redis, seconds: float) -> None:
    """Make what is kept older by so much."""
    left = redis.pttl("key:a")
    assert isinstance(left, int)
    redis.pexpire("key:a", int(left - seconds * 1000))


def test_what_is_stale_is_given_while_one_computes(nodes: Pair, redis: Redis) -> None:
    one, other = nodes
    one.write("old")
    one.read(seconds=30, stale=30)
    one.written["a"] = "new"
    age(redis, 31)
    for node in nodes:
        node.cache.first.clear()
    crowd = Crowd(nodes, count=1, seconds=30, stale=30)
    [computes] = crowd.ask()
    assert [other.read(seconds=30, stale=30) for _ in range(5)] == ["old"] * 5
    crowd.may_end.set()
    assert computes.result(PATIENCE) == "new"
    assert [node.read(seconds=30, stale=30) for node in nodes] == ["new", "new"]


def test_what_is_too_stale_or_was_invalidated_nobody_gets(
    nodes: Pair, redis: Redis, start: Callable[[], Node]
) -> None:
    one, other = nodes
    ends: list[Callable[[], None]] = [
        lambda: age(redis, 59.99),
        lambda: other.write("new", everywhere=True),
    ]
    for end in ends:
        one.write("old")
        one.read(seconds=30, stale=30)
        end()
        one.written["a"] = "new"
        for node in nodes:
            node.cache.first.clear()
        until(lambda: redis.get("key:a") is None, "its end")
        assert other.read(seconds=30, stale=30) == "new"
