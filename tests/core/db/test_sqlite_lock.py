"""SQLite has one writer at a time: who waits for it hears signals, and gives up in the end."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from tests.locks import race
from tests.processes import until

from trellis.db import engine
from trellis.db.base import db
from trellis.db.faults import Fault, fault_of
from trellis.jobs import together
from trellis.jobs.limits import TaskTimeoutError, time_limit
from trellis.outbox.lease import claim_fresh
from trellis.unit_of_work import unit_of_work

pytestmark = [pytest.mark.sqlite_only, pytest.mark.usefixtures("app_context")]

Looks = Callable[[int], bool]


@pytest.fixture
def looks() -> Iterator[Looks]:
    """Waits until somebody has looked so many times whether the lock is free."""

    def look(_context: Any) -> None:
        seen.append(None)

    seen: list[None] = []
    event.listen(db.engine, "handle_error", look)
    yield lambda times: until(lambda: len(seen) >= times, "who waits for the lock")
    event.remove(db.engine, "handle_error", look)


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Somebody else writes until the block ends, or until the given function is called."""
    other = sqlite3.connect(
        str(db.engine.url.database), isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other.close
    finally:
        other.close()


def patience() -> int:
    """What SQLite's own waiting is set to in a unit, in milliseconds."""
    with unit_of_work() as uow:
        return int(uow.session.scalar(text("PRAGMA busy_timeout")) or 0)


def test_a_unit_waits_for_the_lock_and_knows_for_how_long(app: Flask, looks: Looks) -> None:
    def wait() -> tuple[int, float]:
        before = engine.lock_seconds()
        return patience(), engine.lock_seconds() - before

    before = engine.lock_seconds()
    with race(app) as racing, held() as release:
        waiting = racing.start(wait)
        looks(5)
        release()
        milliseconds, seconds = waiting.result()
    assert milliseconds == engine.SQLITE_BUSY_SECONDS * 1000
    assert seconds >= 4 * engine._LOOK_SECONDS
    assert engine.lock_seconds() == before, "this thread has not waited"


def test_a_task_that_waits_for_the_lock_hears_its_time_limit() -> None:
    """In SQLite's own waiting no signal is heard."""
    with held():
        with pytest.raises(TaskTimeoutError), time_limit(0.05), unit_of_work() as uow:
            _ = uow.session
        pool: Any = db.engine.pool
        assert pool.checkedout() == 0
    assert patience() == engine.SQLITE_BUSY_SECONDS * 1000


def test_a_unit_that_waits_too_long_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with held():
        monkeypatch.setattr(engine, "SQLITE_BUSY_SECONDS", 0.05)
        with pytest.raises(DBAPIError) as raised, unit_of_work() as uow:
            _ = uow.session
        monkeypatch.undo()
    assert fault_of(raised.value) is Fault.AWAY
    assert patience() == engine.SQLITE_BUSY_SECONDS * 1000


@pytest.mark.parametrize("known", [False, True], ids=["by itself", "together"])
def test_to_wait_for_the_lock_makes_no_task_slow(
    known: bool, looks: Looks, declare_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle() -> None:
        """Does nothing."""

    name, turn = declare_task(idle), 0.2
    monkeypatch.setattr(together, "_pace", together._Pace())
    monkeypatch.setattr(together, "_KNOWN_RUNS", 0 if known else 1)
    monkeypatch.setattr(together, "_QUICK_SECONDS", turn)
    monkeypatch.setattr(together, "_TURN_SECONDS", turn)
    with unit_of_work() as uow:
        uow.enqueue(name)
    waiting = deque(claim_fresh("light", 1))
    with held() as release:

        def release_late() -> None:
            looks(int(1.5 * turn / engine._LOOK_SECONDS))
            release()

        releasing = threading.Thread(target=release_late)
        releasing.start()
        [ended] = together.run_next(waiting)
        releasing.join()
    assert ended.outcome == "done"
    assert together._pace.is_quick(name)
