"""Workers are stopped, killed and asked to end: each effect happens, and happens once."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.processes import until


def _began(directory: Path) -> set[int]:
    return {int(path.name.removeprefix("began-")) for path in directory.glob("began-*")}


def test_f04_a_worker_that_was_stopped_past_its_lease_commits_nothing(
    workers: Any, tmp_path: Path
) -> None:
    zombie = workers.start("light")
    workers.enqueue("light_wait_and_write", directory=str(tmp_path), number=1)
    until(lambda: _began(tmp_path) == {zombie.pid}, "the first worker begins")
    os.kill(zombie.pid, signal.SIGSTOP)
    heir = workers.start("light")
    workers.start("scheduler")
    until(lambda: _began(tmp_path) == {zombie.pid, heir.pid}, "the second one has the row")
    (tmp_path / f"go-{zombie.pid}").touch()
    os.kill(zombie.pid, signal.SIGCONT)
    until(lambda: "task_lease_lost" in workers.said, "the first one finds that it is late")
    assert workers.effects() == []
    (tmp_path / f"go-{heir.pid}").touch()
    workers.until_done("light_wait_and_write")
    assert workers.effects() == [{"number": 1, "pid": heir.pid}]


def test_sigterm_ends_the_row_under_way_and_hands_the_others_back(
    workers: Any, tmp_path: Path
) -> None:
    workers.enqueue("light_wait_and_write", directory=str(tmp_path), number=1)
    workers.enqueue("light_effect", 5)
    worker = workers.start("light")
    until(lambda: _began(tmp_path) == {worker.pid}, "the first row begins")
    worker.send_signal(signal.SIGTERM)
    (tmp_path / f"go-{worker.pid}").touch()
    assert worker.wait(60) == 0
    workers.until_done("light_wait_and_write")
    for row in workers.rows("light_effect"):
        assert row.done_at is None
        assert row.leased_until is None
        assert row.attempts == 0
    workers.start("light")
    workers.start("scheduler")
    workers.until_done("light_effect")
    assert len(workers.effects()) == 6


def _survive(workers: Any, jobs: int, kills: int, seed: int) -> None:
    """Kill workers again and again; then all is done soon, and nothing twice."""
    chance = random.Random(seed)
    running = [workers.start("light"), workers.start("light")]
    workers.start("scheduler")
    for each in range(kills):
        known = len(workers.effects())
        for number in range(jobs * each // kills, jobs * (each + 1) // kills):
            workers.enqueue("light_flaky_effect", number=number)
        until(lambda: len(workers.effects()) > known, "somebody works")  # noqa: B023 (called here)
        time.sleep(chance.uniform(0, 2))  # the moment is what is tried
        victim = chance.randrange(len(running))
        workers.kill(running[victim])
        running[victim] = workers.start("light")
    began = time.monotonic()
    workers.until_done("light_flaky_effect", within=120)
    took = time.monotonic() - began
    assert sorted(effect["number"] for effect in workers.effects()) == list(range(jobs))
    assert took < 30, f"the last one was done {took:.0f} seconds after the last kill"


@pytest.mark.nightly
def test_f03_killed_workers_lose_nothing_and_repeat_nothing(workers: Any) -> None:
    _survive(workers, jobs=60, kills=3, seed=1)


@pytest.mark.nightly
def test_f03_all_is_done_within_30_seconds_of_the_last_of_15_kills(workers: Any) -> None:
    _survive(workers, jobs=300, kills=15, seed=2)
