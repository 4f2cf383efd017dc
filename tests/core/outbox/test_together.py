"""Quick tasks share a commit on SQLite; each stands or falls alone, and a slow one holds nobody."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest
from sqlalchemy import event, select, text

from trellis.db import fetch_all
from trellis.db.base import db
from trellis.jobs import together
from trellis.observe.audit import AuditEntry, record
from trellis.outbox.lease import claim_fresh
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.sqlite_only  # elsewhere nothing shares a commit


@pytest.fixture(autouse=True)
def everybody_is_quick(app_context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_pace", together._Pace())
    monkeypatch.setattr(together, "_KNOWN_RUNS", 0)
    monkeypatch.setattr(together, "_QUICK_SECONDS", 1000.0)
    monkeypatch.setattr(together, "_TOGETHER_SECONDS", 1000.0)


_SLOW = text(
    "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 2000000)"
    " SELECT count(*) FROM counted"
)


def _effect(number: int) -> None:
    with unit_of_work() as uow:
        record(uow, "core.effect", number=number)
        uow.after_commit(lambda: committed.append(number))


committed: list[int] = []


def _enqueue(*work: tuple[str, int]) -> deque[Any]:
    committed.clear()
    for name, number in work:
        with unit_of_work() as uow:
            uow.enqueue(name, number=number)
    return deque(claim_fresh("light", 50))


def _effects() -> list[int]:
    rows = fetch_all(select(AuditEntry.details).where(AuditEntry.action == "core.effect"))
    return sorted(row.details["number"] for row in rows)


def _errors() -> list[str | None]:
    return [row.error for row in fetch_all(select(OutboxRow.error).order_by(OutboxRow.id))]


def test_quick_tasks_share_a_commit(declare_task: Any) -> None:
    def count(connection: Any) -> None:
        commits.append(connection)

    commits: list[Any] = []
    waiting = _enqueue(*[(declare_task(_effect), number) for number in range(10)])
    event.listen(db.engine, "commit", count)
    try:
        ended = together.run_next(waiting)
    finally:
        event.remove(db.engine, "commit", count)
    assert [each.outcome for each in ended] == ["done"] * 10
    assert (len(waiting), len(commits)) == (0, 1)
    assert _effects() == sorted(committed) == list(range(10))


def test_one_that_fails_takes_back_its_own_alone(declare_task: Any) -> None:
    def fail_after_effect(number: int) -> None:
        _effect(number)
        with unit_of_work() as uow:
            uow.enqueue(name, number=number)
        raise ValueError

    name = declare_task(_effect)
    failing = declare_task(fail_after_effect)
    waiting = _enqueue((name, 1), (failing, 2), (name, 3), (failing, 4), (name, 5))
    outcomes = [each.outcome for each in together.run_next(waiting)]
    assert outcomes == ["done", "failed", "done", "failed", "done"]
    assert _effects() == sorted(committed) == [1, 3, 5]
    assert len(_errors()) == 5  # what the failed ones asked for is gone with them
    assert [error is not None for error in _errors()] == [False, True, False, True, False]


def test_a_row_that_was_lost_takes_back_its_own_alone(declare_task: Any) -> None:
    name = declare_task(_effect)
    waiting = _enqueue((name, 1), (name, 2), (name, 3))
    with unit_of_work() as uow:
        uow.session.delete(uow.session.get_one(OutboxRow, waiting[1].id))
    outcomes = [each.outcome for each in together.run_next(waiting)]
    assert outcomes == ["done", "lease_lost", "done"]
    assert _effects() == [1, 3]


def test_a_slow_one_is_interrupted_and_run_by_itself(
    declare_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(number: int) -> None:
        began.append(list(committed))
        _effect(number)
        if len(began) == 1:
            time.sleep(60)  # it is interrupted

    began: list[list[int]] = []
    monkeypatch.setattr(together, "_TURN_SECONDS", 0.05)
    waiting = _enqueue((declare_task(_effect), 1), (declare_task(slow), 2))
    outcomes = [each.outcome for each in together.run_next(waiting)]
    assert outcomes == ["done", "done"]
    assert began == [[], [1]]  # the other's commit did not wait for the second time
    assert _effects() == [1, 2]


def test_a_slow_statement_is_interrupted_and_run_by_itself(
    declare_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in a statement, it takes the connection and all others of the commit along."""

    def slow(number: int) -> None:
        began.append(list(committed))
        with unit_of_work() as uow:
            uow.session.execute(_SLOW if len(began) == 1 else select(1))
        _effect(number)

    began: list[list[int]] = []
    monkeypatch.setattr(together, "_TURN_SECONDS", 0.05)
    waiting = _enqueue((declare_task(_effect), 1), (declare_task(slow), 2))
    waiting += _enqueue((declare_task(_effect), 3))
    ended = []
    while waiting:
        ended += together.run_next(waiting)
    assert [each.outcome for each in ended] == ["done"] * 3
    assert _effects() == sorted(committed) == [1, 2, 3]
    assert _errors() == [None] * 3


def test_only_what_was_quick_of_late_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = together._Pace()
    monkeypatch.setattr(together, "_KNOWN_RUNS", 3)
    monkeypatch.setattr(together, "_QUICK_SECONDS", 0.02)
    assert not pace.is_quick("core.new")
    for _ in range(3):
        pace.note("core.new", 0.001)
    assert pace.is_quick("core.new")
    pace.note("core.new", 0.5)
    assert not pace.is_quick("core.new")
    for _ in range(30):
        pace.note("core.new", 0.001)
    assert not pace.is_quick("core.new")  # what it once did is not soon forgotten
    for _ in range(60):
        pace.note("core.new", 0.001)
    assert pace.is_quick("core.new")
