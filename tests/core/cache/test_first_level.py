"""What a process keeps for itself: what it forgets, when, and what it never keeps."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from trellis_cache.first_level import FirstLevel


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def first(clock: Clock) -> FirstLevel:
    first = FirstLevel(100_000, clock)
    first.heard(clock())
    return first


def put(first: FirstLevel, key: str, *tags: str, seconds: float = 60, size: int = 10) -> None:
    first.put(key, f"value of {key}", size, tags, seconds, first.mark())


def test_a_value_ends_by_its_time(first: FirstLevel, clock: Clock) -> None:
    put(first, "a", seconds=0.5)
    put(first, "none", seconds=0)
    assert (first.get("a"), first.get("none")) == ("value of a", None)
    clock.now += 0.5
    assert first.get("a") is None


def test_e14_what_nobody_confirms_does_not_count(first: FirstLevel, clock: Clock) -> None:
    put(first, "a")
    clock.now += 0.99
    assert first.get("a") is not None
    clock.now += 0.01
    assert (first.is_on, first.get("a")) == (False, None)
    first.heard(clock() - 0.5)  # when the look began, not when it ended
    assert first.get("a") is not None
    clock.now += 0.5
    assert first.get("a") is None


def test_a_dropped_tag_takes_its_values_and_no_others(first: FirstLevel) -> None:
    put(first, "a", "one", "two")
    put(first, "b", "two")
    put(first, "c", "three")
    first.drop(["two", "unknown"])
    assert [first.get(key) is None for key in "abc"] == [True, True, False]
    first.drop(["one"])
    put(first, "a", "one")
    assert first.get("a") is not None


def test_e14_what_was_computed_before_a_drop_is_not_kept(first: FirstLevel) -> None:
    mark = first.mark()
    first.drop(["one"])
    first.put("a", "old", 10, ["one"], 60, mark)
    first.put("b", "not concerned", 10, ["two"], 60, mark)
    assert (first.get("a"), first.get("b")) == (None, "not concerned")
    mark = first.mark()
    first.clear()
    first.put("b", "old", 10, ["two"], 60, mark)
    assert first.get("b") is None


def test_e14_drops_that_are_forgotten_count_for_every_tag(first: FirstLevel) -> None:
    mark = first.mark()
    first.drop(["one"])
    first.drop(f"tag {number}" for number in range(10_001))
    first.put("a", "old", 10, ["one"], 60, mark)
    first.put("b", "old", 10, ["never dropped"], 60, mark)
    assert (first.get("a"), first.get("b")) == (None, None)
    put(first, "a", "one")
    assert first.get("a") is not None


def test_there_is_never_more_than_fits(first: FirstLevel) -> None:
    for number in range(1000):
        put(first, str(number), "all", size=random.Random(number).randrange(5000))
        assert first.bytes <= 100_000
    assert 0 < len(first) < 1000
    first.drop(["all"])
    assert (len(first), first.bytes) == (0, 0)


def test_what_is_asked_for_stays_longest(first: FirstLevel) -> None:
    put(first, "asked for")
    for number in range(1000):
        assert first.get("asked for") is not None
        put(first, str(number), size=1000)
    assert first.get("0") is None


def test_one_value_does_not_push_all_others_out(first: FirstLevel) -> None:
    put(first, "a")
    put(first, "huge", size=50_000)
    assert (first.get("huge"), first.get("a")) == (None, "value of a")


def test_threads_share_it() -> None:
    first = FirstLevel(20_000)

    def use(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(3000):
            key = str(chance.randrange(50))
            match chance.randrange(4):
                case 0:
                    put(first, key, f"tag {int(key) % 7}", size=chance.randrange(2000))
                case 1:
                    first.drop([f"tag {chance.randrange(7)}"])
                case _:
                    first.get(key)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    first.drop(f"tag {number}" for number in range(7))
    assert (len(first), first.bytes, dict(first._by_tag)) == (0, 0, {})
