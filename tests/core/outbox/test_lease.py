"""Work is run under a lease; who lost it changes nothing."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from tests.processes import until

from trellis.db import database_now, fetch_one, fetch_value, new_id, utcnow
from trellis.errors import CommittedRefusal, Permanent, RetryLater
from trellis.jobs import drain, together
from trellis.jobs.run import run
from trellis.outbox.lease import (
    Claim,
    LeaseLostError,
    claim_any,
    complete,
    postpone,
    release,
    renew,
)
from trellis.outbox.models import OutboxRow
from trellis.privacy.models import Erasure
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app_context")


def _write_row(**_: Any) -> None:
    with unit_of_work() as uow:
        uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))


def _fail() -> None:
    raise ValueError("broken")


def _fail_for_good() -> None:
    raise Permanent("never")


def _later() -> None:
    raise RetryLater(60)


def _spin() -> None:
    while True:
        pass


def _enqueue(name: str, **options: Any) -> None:
    with unit_of_work() as uow:
        uow.enqueue(name, **options)


def _claimed(queue: str = "light") -> Claim:
    held = claim_any(queue)
    assert held is not None
    return held


def _let_lease_run_out(held: Claim) -> None:
    with unit_of_work() as uow:
        uow.session.execute(
            update(OutboxRow).where(OutboxRow.id == held.id).values(leased_until=database_now(-1))
        )


def _effects() -> int:
    return len(_rows())


def _rows() -> list[Any]:
    from trellis.db import fetch_all

    return list(fetch_all(select(Erasure.id)))


def _stored() -> Any:
    return fetch_one(
        select(OutboxRow.done_at, OutboxRow.dead_at, OutboxRow.error, OutboxRow.due_at,
               OutboxRow.fence, OutboxRow.leased_until)
    )  # fmt: skip


def _due_in() -> float:
    seconds: float = (_stored().due_at - fetch_value(select(database_now()))).total_seconds()
    return seconds


def test_a_claimed_row_is_nobody_elses(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    assert _claimed().fence == 1
    assert claim_any("light") is None


def test_effect_and_done_commit_together(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    run(_claimed())
    assert _effects() == 1
    assert _stored().done_at is not None
    assert claim_any("light") is None


def test_who_lost_the_lease_commits_nothing(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    first = _claimed()
    _let_lease_run_out(first)
    second = _claimed()
    assert second.fence == 2
    run(first)
    assert _effects() == 0
    run(second)
    assert _effects() == 1
    with pytest.raises(LeaseLostError), unit_of_work() as uow:
        complete(uow, second)


def test_a_renewed_lease_holds(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    held = _claimed()
    _let_lease_run_out(held)
    renew([held])
    assert claim_any("light") is None


def test_who_lost_the_lease_renews_nothing(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    first = _claimed()
    _let_lease_run_out(first)
    second = _claimed()
    _let_lease_run_out(second)
    renew([first])
    assert _claimed().fence == 3


def test_a_failed_task_is_due_again_later(declare_task: Any) -> None:
    _enqueue(declare_task(_fail))
    run(_claimed())
    assert "ValueError in _fail" in _stored().error
    assert 0.5 < _due_in() < 4
    assert claim_any("light") is None


def test_the_last_attempt_ends_among_the_dead(declare_task: Any) -> None:
    _enqueue(declare_task(_fail, attempts=1))
    run(_claimed())
    assert _stored().dead_at is not None
    assert "ValueError in _fail" in _stored().error


def test_a_permanent_failure_is_not_repeated(declare_task: Any) -> None:
    _enqueue(declare_task(_fail_for_good))
    run(_claimed())
    assert _stored().dead_at is not None


def test_a_task_can_ask_for_its_time(declare_task: Any) -> None:
    _enqueue(declare_task(_later))
    run(_claimed())
    assert 55 < _due_in() < 61


def test_a_refusal_in_a_task_is_a_failure_that_commits_nothing(declare_task: Any) -> None:
    def refuse() -> None:
        _write_row()
        raise CommittedRefusal

    _enqueue(declare_task(refuse))
    run(_claimed())
    assert _effects() == 0
    assert _stored().done_at is None


def test_asking_for_its_time_is_no_attempt(declare_task: Any) -> None:
    _enqueue(declare_task(_later, attempts=2))
    for _ in range(5):
        run(_claimed())
        with unit_of_work() as uow:
            uow.session.execute(update(OutboxRow).values(due_at=database_now()))
    assert _stored().dead_at is None


def test_a_dead_letter_does_not_tell_what_people_wrote(declare_task: Any) -> None:
    def write_twice() -> None:
        with unit_of_work() as uow:
            for _ in range(2):
                uow.session.execute(insert(Erasure).values(id=person, requested_at=utcnow()))

    person = new_id()
    _enqueue(declare_task(write_twice, attempts=1))
    run(_claimed())
    assert "IntegrityError" in _stored().error
    assert person.hex not in _stored().error


def test_a_task_that_always_kills_its_process_ends_among_the_dead(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row, attempts=2))
    for _ in range(2):
        _let_lease_run_out(_claimed())
    run(_claimed())
    assert _effects() == 0
    assert "every attempt ended with the process" in _stored().error


def test_a_killer_takes_no_neighbour_with_it(declare_task: Any, monkeypatch: Any) -> None:
    """A batch is lost with its process: what was not begun in it must not count as attempted."""

    def run_or_die(held: Claim, **options: Any) -> Any:
        if held.task == killer and held.attempt <= 3:
            raise SystemExit
        return run(held, **options)

    monkeypatch.setattr(together, "run", run_or_die)
    monkeypatch.setattr(drain, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(drain, "_abandoned", drain._Abandoned())  # which looked a moment ago
    killer = declare_task(_fail, attempts=3)
    _enqueue(killer)
    _enqueue(declare_task(_write_row, attempts=1))
    for _ in range(6):
        with suppress(SystemExit):
            drain.drain()
        with unit_of_work() as uow:
            uow.session.execute(
                update(OutboxRow)
                .where(OutboxRow.leased_until.is_not(None))
                .values(leased_until=database_now(-1))
            )
    assert _effects() == 1
    killed = fetch_one(select(OutboxRow.dead_at, OutboxRow.error).where(OutboxRow.task == killer))
    assert killed is not None
    assert killed.dead_at is not None
    assert killed.error == "every attempt ended with the process that made it"


def test_a_commit_is_under_no_time_limit(declare_task: Any) -> None:
    def write() -> None:
        with unit_of_work() as uow:
            uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))
            uow.after_commit(lambda: armed.append(signal.getitimer(signal.ITIMER_REAL)[0]))

    armed: list[float] = []
    _enqueue(declare_task(write))
    run(_claimed())
    assert armed == [0.0]


def test_a_task_past_its_time_limit_is_stopped(declare_task: Any) -> None:
    _enqueue(declare_task(_spin, time_limit=0.05))
    run(_claimed())
    assert _stored().error == "TaskTimeoutError: ran longer than 0.05 seconds"


@pytest.mark.postgresql_only  # SQLite runs a statement in this process, which no signal interrupts
def test_a_task_past_its_time_limit_in_a_statement_is_stopped_and_counted(
    declare_task: Any,
) -> None:
    """The connection is in the middle of it, and cannot even roll back; soon the server ends it."""

    def sleep() -> None:
        with unit_of_work() as uow:
            uow.session.execute(text("SELECT pg_sleep(600)"))

    _enqueue(declare_task(sleep, time_limit=0.2))
    run(_claimed())
    assert _stored().error == "TaskTimeoutError: ran longer than 0.2 seconds"
    assert fetch_value(select(OutboxRow.attempts)) == 1
    asleep = text("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'")
    until(lambda: fetch_value(asleep) == 0, "the end of the statement")  # type: ignore[arg-type]


def test_a_released_row_can_be_claimed_at_once(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    release(_claimed())
    again = _claimed()
    assert (again.fence, again.attempt) == (2, 1)


def test_delayed_work_waits(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row), delay=60)
    assert claim_any("light") is None


def test_classes_of_work_are_apart(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row, queue="heavy"))
    assert claim_any("light") is None
    assert _claimed("heavy").task == "core._write_row"


def test_work_of_a_plugin_that_is_not_loaded_waits(app: Any, declare_task: Any) -> None:
    name = declare_task(_write_row)
    _enqueue(name)
    declared = app.extensions["trellis"].tasks.pop(name)
    assert claim_any("light") is None
    app.extensions["trellis"].tasks[name] = declared
    assert _claimed().task == name


def test_postponing_with_a_lost_lease_changes_nothing(declare_task: Any) -> None:
    _enqueue(declare_task(_write_row))
    first = _claimed()
    _let_lease_run_out(first)
    second = _claimed()
    postpone(first, 600, "late")
    assert _stored().fence == second.fence
    assert _stored().error is None
