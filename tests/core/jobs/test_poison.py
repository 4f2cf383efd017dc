"""Work that ends its process, hangs or eats memory: it dies with a reason, and dies alone."""

from __future__ import annotations

import signal
from typing import Any

import pytest


def test_f23_heavy_poison_ends_among_the_dead_with_its_reason(workers: Any) -> None:
    workers.enqueue("heavy_die_by", number=int(signal.SIGSEGV))
    workers.enqueue("heavy_leave", code=7)
    workers.enqueue("heavy_hog")
    workers.enqueue("heavy_be_deaf")
    workers.enqueue("heavy_hang_in_c")
    workers.enqueue("heavy_hold")
    workers.enqueue("heavy_backtrack")
    workers.enqueue("heavy_effect", 3)
    for kind in ("heavy", "heavy", "scheduler"):
        workers.start(kind)
    workers.until_done("heavy_effect")
    assert "ended by SIGSEGV" in workers.until_dead("heavy_die_by")
    assert workers.until_dead("heavy_leave") == "its process ended with exit code 7"
    assert workers.until_dead("heavy_hog").startswith("MemoryError in hog")
    for task in ("heavy_be_deaf", "heavy_hang_in_c"):
        assert "did not stop at its time limit" in workers.until_dead(task)
    assert "held the interpreter" in workers.until_dead("heavy_hold")
    assert workers.until_dead("heavy_backtrack").startswith("TaskTimeoutError")
    (row,) = workers.rows("heavy_die_by")
    assert row.attempts == 2
    assert len(workers.effects()) == 3
    assert "task_overdue" in workers.said
    assert "in be_deaf" in workers.said  # where it hangs
    assert "in hold" in workers.said


@pytest.mark.nightly
def test_light_poison_ends_among_the_dead_and_takes_no_neighbour_with_it(workers: Any) -> None:
    workers.enqueue("light_effect", 10)
    workers.enqueue("light_die_by", number=int(signal.SIGSEGV))
    workers.enqueue("light_leave", code=0)
    workers.enqueue("light_hold")
    workers.start("scheduler")
    running = [workers.start("pool")]

    def someone() -> None:
        """What a service manager does."""
        if running[-1].poll() is not None:
            running.append(workers.start("pool"))

    reasons: dict[str, str] = {}
    while len(reasons) < 3:
        someone()
        for task in ("light_die_by", "light_leave", "light_hold"):
            (row,) = workers.rows(task)
            if row.dead_at is not None:
                reasons[task] = row.error
    assert "ended by SIGSEGV" in reasons["light_die_by"]
    assert reasons["light_leave"] == "its process ended with exit code 0"
    assert "held the interpreter" in reasons["light_hold"]
    while any(row.done_at is None for row in workers.rows("light_effect")):
        someone()
    assert sorted(effect["number"] for effect in workers.effects()) == list(range(10))
    assert all(row.attempts <= 1 for row in workers.rows("light_effect"))


def test_a_light_worker_makes_room_for_a_fresh_one(workers: Any) -> None:
    workers.start("pool", CREW_MOST_RUNS="5")
    for _ in range(4):
        workers.enqueue("light_effect", 8)
        workers.until_done("light_effect")
    assert len({effect["pid"] for effect in workers.effects()}) > 1
    assert len(workers.effects()) == 32
