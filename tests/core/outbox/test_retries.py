"""What failed is tried again by its class: for so long, so often, and with a reason that stays."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from trellis.db import database_now, fetch_one, fetch_value, new_id, utcnow
from trellis.db.base import db
from trellis.errors import RetryLater
from trellis.jobs.failure import describe_exit
from trellis.jobs.limits import OVERDUE, SILENT
from trellis.jobs.run import run
from trellis.outbox.lease import Claim, claim_any, claim_fresh
from trellis.outbox.models import OutboxRow
from trellis.privacy.models import Erasure
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app_context")


def _enqueue(name: str, **options: Any) -> None:
    with unit_of_work() as uow:
        uow.enqueue(name, **options)


def _set(**values: Any) -> None:
    with unit_of_work() as uow:
        uow.session.execute(update(OutboxRow).values(**values))


def _claimed() -> Claim:
    (held,) = claim_fresh("light", 10)
    return held


def _row() -> Any:
    return fetch_one(
        select(
            OutboxRow.attempts, OutboxRow.fence, OutboxRow.dead_at, OutboxRow.error,
            OutboxRow.due_at, OutboxRow.leased_until,
        )
    )  # fmt: skip


def _due_in() -> float:
    seconds: float = (_row().due_at - fetch_value(select(database_now()))).total_seconds()
    return seconds


def _fail() -> None:
    raise ValueError("ada@example.org is no number")


def _refused() -> None:
    """What a database says that has no time for us."""
    if db.engine.dialect.name == "postgresql":
        with unit_of_work() as uow:
            uow.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    import sqlite3

    from sqlalchemy.exc import OperationalError

    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
    raise OperationalError("UPDATE", None, locked)


def test_attempts_count_failures_and_fences_count_leases(declare_task: Any) -> None:
    _enqueue(declare_task(_fail))
    for number in range(1, 4):
        assert run(_claimed()).outcome == "failed"
        assert (_row().attempts, _row().fence) == (number, number)
        assert 2**number * 0.4 < _due_in() < 2**number * 1.6
        _set(due_at=database_now())


def test_e08_what_the_database_refuses_is_soon_repeated_and_does_not_count(
    declare_task: Any,
) -> None:
    _enqueue(declare_task(_refused, attempts=1))
    for number in range(1, 4):
        assert run(_claimed()).outcome == "refused"
        assert (_row().attempts, _row().fence, _row().dead_at) == (0, number, None)
        assert _due_in() < 2
        _set(due_at=database_now())


def test_what_the_database_refuses_for_ever_is_given_up(declare_task: Any) -> None:
    _enqueue(declare_task(_refused, attempts=1))
    _set(fence=200)
    assert run(_claimed()).outcome == "dead"


@pytest.mark.postgresql_only  # SQLite ends no statement
def test_a_statement_that_takes_too_long_is_a_failed_attempt(declare_task: Any) -> None:
    def ask_for_too_much() -> None:
        with unit_of_work() as uow:
            uow.session.execute(text("SET LOCAL statement_timeout = '50ms'"))
            uow.session.execute(text("SELECT pg_sleep(60)"))

    _enqueue(declare_task(ask_for_too_much, attempts=2))
    assert run(_claimed()).outcome == "failed"
    assert (_row().attempts, _due_in() > 0.5) == (1, True)
    _set(due_at=database_now())
    assert run(_claimed()).outcome == "dead"
    assert "57014" in _row().error


def test_who_asks_for_later_for_too_long_is_given_up(declare_task: Any) -> None:
    def later() -> None:
        raise RetryLater(30)

    _enqueue(declare_task(later, give_up_after=3600.0))
    assert run(_claimed()).outcome == "postponed"
    assert (_row().attempts, 25 < _due_in() < 31) == (0, True)
    _set(due_at=database_now(), begun_at=database_now(-3601))
    assert run(_claimed()).outcome == "dead"
    assert "still asks for later after 360" in _row().error


def test_a_delay_is_no_part_of_that_time(declare_task: Any) -> None:
    def later() -> None:
        raise RetryLater(30)

    _enqueue(declare_task(later, give_up_after=3600.0))
    _set(created_at=database_now(-7200))
    assert run(_claimed()).outcome == "postponed"


def test_an_error_keeps_what_happened_and_no_word_of_a_person(declare_task: Any) -> None:
    _enqueue(declare_task(_fail))
    run(_claimed())
    assert _row().error.startswith("ValueError in _fail (outbox/test_retries.py:")
    assert "example.org" not in _row().error


def test_the_database_s_error_quotes_no_value(declare_task: Any) -> None:
    def write_twice() -> None:
        with unit_of_work() as uow:
            for _ in range(2):
                uow.session.execute(insert(Erasure).values(id=person, requested_at=utcnow()))

    person = new_id()
    _enqueue(declare_task(write_twice))
    run(_claimed())
    assert "IntegrityError" in _row().error
    assert person.hex not in _row().error.replace("-", "")
    if db.engine.dialect.name == "postgresql":
        assert "(23505 core_erasure pk_core_erasure)" in _row().error


def test_a_task_that_ends_its_process_politely_has_failed(declare_task: Any) -> None:
    def leave() -> None:
        raise SystemExit(0)

    _enqueue(declare_task(leave))
    assert run(_claimed()).outcome == "failed"


def test_an_abandoned_row_is_claimed_alone_and_counts(declare_task: Any) -> None:
    _enqueue(declare_task(_fail))
    _enqueue(declare_task(_fail))
    assert [held.attempt for held in claim_fresh("light", 10)] == [1, 1]
    _set(leased_until=database_now(-1))
    assert claim_fresh("light", 10) == []
    held = claim_any("light")
    assert held is not None
    assert (held.attempt, held.fence) == (1, 2)
    assert sorted(fetch_one(select(OutboxRow.attempts).where(OutboxRow.id == held.id)) or ()) == [1]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (-signal.SIGSEGV, "its process was ended by SIGSEGV"),
        (-signal.SIGKILL, "want of memory"),
        (OVERDUE, "did not stop at its time limit"),
        (SILENT, "held the interpreter"),
        (3, "its process ended with exit code 3"),
    ],
)
def test_an_end_is_told_in_words(code: int, told: str) -> None:
    assert told in describe_exit(code)
