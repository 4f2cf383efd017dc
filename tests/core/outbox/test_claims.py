"""Who gets which row: by priority and due time, once, and everybody in the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from trellis.db import database_now, fetch_all, fetch_value
from trellis.jobs.drain import drain
from trellis.jobs.run import run
from trellis.outbox.lease import claim_fresh
from trellis.outbox.models import OutboxRow
from trellis.task import PRIORITIES
from trellis.unit_of_work import unit_of_work


def _idle() -> None:
    """Does nothing."""


@pytest.fixture
def named(declare_task: Any) -> dict[str, str]:
    """A task of each priority."""

    def of(priority: str) -> str:
        def task() -> None: ...

        task.__name__ = f"of_{priority}"
        return str(declare_task(task, priority=priority))

    return {priority: of(priority) for priority in PRIORITIES}


def _enqueue(*names: str, **options: Any) -> None:
    for name in names:
        with unit_of_work() as uow:
            uow.enqueue(name, **options)


def test_claims_go_by_priority_then_by_due_time(app_context: None, named: dict[str, str]) -> None:
    _enqueue(named["low"], named["normal"], named["high"], named["normal"], named["high"])
    claimed = [held.task for _ in range(3) for held in claim_fresh("light", 2)]
    assert claimed == [named[p] for p in ("high", "high", "normal", "normal", "low")]


def test_a_claim_may_begin_with_another_priority(app_context: None, named: dict[str, str]) -> None:
    _enqueue(named["high"], named["low"], named["high"])
    low = PRIORITIES["low"]
    assert [held.task for held in claim_fresh("light", 1, low)] == [named["low"]]
    assert [held.task for held in claim_fresh("light", 1, low)] == [named["high"]]


def test_a_flood_of_high_ones_starves_nobody(
    app_context: None, named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run_and_refill(held: Any, **options: Any) -> Any:
        ran.append(held.task)
        _enqueue(named["high"])
        assert len(ran) < 5000, "the low one waits for ever"
        if held.task == named["low"]:
            with unit_of_work() as uow:
                uow.session.execute(delete(OutboxRow).where(OutboxRow.leased_until.is_(None)))
            monkeypatch.undo()
        return run(held, **options)

    _enqueue(named["low"], *[named["high"]] * 100)
    monkeypatch.setattr("trellis.jobs.together.run", run_and_refill)
    drain()
    assert named["low"] in ran


def test_what_was_left_by_the_dead_does_not_wait_for_the_fresh(
    app_context: None, named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fresh rows may come for hours; who made the older ones waits for them."""
    ran: list[str] = []

    def run_and_refill(held: Any, **options: Any) -> Any:
        ran.append(held.task)
        if named["low"] in ran:
            monkeypatch.undo()
        else:
            _enqueue(named["high"])
        assert len(ran) < 5000, "the older one waits for ever"
        return run(held, **options)

    _enqueue(named["low"])
    claim_fresh("light", 1)
    with unit_of_work() as uow:
        uow.session.execute(update(OutboxRow).values(leased_until=database_now(-1)))
    _enqueue(*[named["high"]] * 100)
    monkeypatch.setattr("trellis.jobs.together.run", run_and_refill)
    drain()
    assert named["low"] in ran


def test_each_row_is_claimed_once_by_many_at_once(app: Flask, declare_task: Any) -> None:
    name = declare_task(_idle)
    with app.app_context(), unit_of_work() as uow:
        for _ in range(60):
            uow.enqueue(name)

    def claim_all(_: int) -> list[UUID]:
        with app.app_context():
            mine: list[UUID] = []
            while held := claim_fresh("light", 4):
                mine += [one.id for one in held]
            return mine

    with ThreadPoolExecutor(6) as pool:
        claimed = [each for mine in pool.map(claim_all, range(6)) for each in mine]
    assert len(claimed) == len(set(claimed)) == 60


def test_of_one_unique_key_there_is_one_row_however_many_ask(app: Flask, declare_task: Any) -> None:
    name = declare_task(_idle)
    together = Barrier(8)

    def ask(number: int) -> None:
        with app.app_context(), unit_of_work() as uow:
            together.wait(30)
            uow.enqueue(name, unique="core.only_one")
            uow.enqueue(name, unique=f"core.own:{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    with app.app_context():
        keys = [row.unique_key for row in fetch_all(select(OutboxRow.unique_key))]
    assert sorted(keys) == sorted(["core.only_one", *(f"core.own:{n}" for n in range(8))])


def test_a_unique_key_is_taken_while_its_row_exists(
    app_context: None, declare_task: Any, run_tasks: Any
) -> None:
    name = declare_task(_idle)
    _enqueue(name, unique="core.once")
    assert run_tasks() == [name]
    _enqueue(name, unique="core.once")
    assert run_tasks() == []  # done, and kept for a day
    with unit_of_work() as uow:
        uow.session.execute(delete(OutboxRow))
    _enqueue(name, unique="core.once")
    assert fetch_value(select(func.count()).select_from(OutboxRow)) == 1
