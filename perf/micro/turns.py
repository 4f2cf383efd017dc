"""Ways to do the same, measured by turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Ways = Mapping[str, Callable[[], Any]]


class Median(NamedTuple):
    """Seconds of one call."""

    passed: float
    """Until the answer was there."""
    worked: float
    """Of this thread's processor."""


def parser_of(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """Of a measurement's command line, with ``--rounds``."""
    found = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    found.add_argument("--rounds", type=int, default=rounds)
    return found


def measure(ways: Ways, rounds: int, *, calls: int = 1) -> dict[str, Median]:
    """Medians of each way, so many calls at a time, in an order that is new each round.

    What one way leaves behind (pages to write, caches that are cold) meets all others alike. The
    first tenth of the rounds warms up.
    """
    taken: dict[str, list[Median]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in random.sample(list(ways.items()), len(ways)):
            began, worked = time.perf_counter(), time.thread_time()
            for _ in range(calls):
                way()
            worked, passed = time.thread_time() - worked, time.perf_counter() - began
            taken[name].append(Median(passed / calls, worked / calls))
    return {
        name: Median(*map(statistics.median, zip(*times[rounds // 10 :], strict=True)))
        for name, times in taken.items()
    }


def report(
    medians: Mapping[str, Median],
    against: Callable[[str], str],
    ratio: Callable[[Median, Median], float] = lambda base, one: base.passed / one.passed,
) -> None:
    """Print what passed, what was worked, and the ratio to the way ``against(name)``."""
    for name, median in medians.items():
        base = against(name)
        times = f"{median.passed * 1e6:9.2f} µs ({median.worked * 1e6:9.2f})"
        print(f"  {name:<17} {times} {ratio(medians[base], median):7.2f} x {base}")


def first_of_group(medians: Mapping[str, Median]) -> Callable[[str], str]:
    """Groups share the first word of their names; what stands first in one is its base."""
    first = {name.partition(" ")[0]: name for name in reversed([*medians])}
    return lambda name: first[name.partition(" ")[0]]
