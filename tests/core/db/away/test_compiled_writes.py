"""Compiled writes while PostgreSQL ends, refuses, takes too long, or is migrated."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from tests.core.db.away.conftest import end_connections

from trellis.db import Compiled, fetch_all, fetch_value, new_id, utcnow
from trellis.db.base import db
from trellis.db.faults import Fault, fault_of
from trellis.privacy.models import Erasure
from trellis.testing.environment import Environment
from trellis.testing.postgresql import PostgreSQL
from trellis.unit_of_work import UnitOfWork, unit_of_work

_ASKED = insert(Erasure).values(id=bindparam("id"), requested_at=bindparam("requested_at"))
_ADD = Compiled(_ASKED.returning(Erasure.requested_at))
_DONE = Compiled(update(Erasure).values(completed_at=bindparam("now")).returning(Erasure.id))
_WAIT = Compiled(_ASKED.returning(func.pg_sleep(bindparam("seconds"))))
_BACKEND = Compiled(select(func.pg_backend_pid()))


@pytest.fixture
def app(app: Flask) -> Iterator[Flask]:
    with app.app_context():
        db.engine.dispose()  # tests before have left several, and these look at one
        with unit_of_work() as uow:
            wait(uow, 0)
            uow.session.execute(text("DELETE FROM core_erasure"))
        add()
        yield app


def add() -> None:
    with unit_of_work() as uow:
        uow.execute(_ADD, id=new_id(), requested_at=utcnow())


def wait(uow: UnitOfWork, seconds: float) -> None:
    uow.execute(_WAIT, id=new_id(), requested_at=utcnow(), seconds=seconds)


def count() -> int:
    return len(fetch_all(select(Erasure.id)))


def failed(write: Callable[[UnitOfWork], Any]) -> Fault | None:
    """The fault of a unit that writes a row and then something that fails."""
    before = count()
    with pytest.raises(DBAPIError) as raised, unit_of_work() as uow:
        uow.execute(_ADD, id=new_id(), requested_at=utcnow())
        write(uow)
    assert count() == before, "what was written before it stays"
    add()
    assert count() == before + 1, "the next unit fails as well"
    pool: Any = db.engine.pool
    assert pool.checkedout() == 0
    return fault_of(raised.value)


def test_f11_a_connection_that_ends_in_mid_unit_is_lost(app: Flask, server: PostgreSQL) -> None:
    def write(uow: UnitOfWork) -> None:
        end_connections(server)
        uow.execute(_DONE, now=utcnow())

    assert failed(write) is Fault.LOST


def test_one_that_is_refused_for_the_sake_of_another_may_be_repeated(app: Flask) -> None:
    def write(uow: UnitOfWork) -> None:
        with db.engine.connect() as other:
            other.execute(update(Erasure).values(completed_at=utcnow()))
            other.execute(text("COMMIT"))
        uow.execute(_DONE, now=utcnow())

    def as_a_whole(uow: UnitOfWork) -> None:
        uow.session.execute(text("ROLLBACK"))
        uow.session.execute(text("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        uow.execute(_ADD, id=new_id(), requested_at=utcnow())
        write(uow)

    assert failed(as_a_whole) is Fault.REFUSED


def test_one_that_takes_too_long_is_ended(app: Flask) -> None:
    def write(uow: UnitOfWork) -> None:
        uow.session.execute(text("SET LOCAL statement_timeout = 50"))
        wait(uow, 60)

    before = fetch_value(_BACKEND)
    assert failed(write) is Fault.SLOW
    assert fetch_value(_BACKEND) == before, "its connection is as good as before"


def test_one_that_waits_too_long_for_a_lock_is_ended(app: Flask) -> None:
    with db.engine.connect() as other:
        other.execute(text("SELECT id FROM core_erasure FOR UPDATE"))
        with pytest.raises(DBAPIError) as raised, unit_of_work() as uow:
            uow.session.execute(text("SET LOCAL lock_timeout = 50"))
            uow.execute(_DONE, now=utcnow())
    assert fault_of(raised.value) is Fault.AWAY


class OutOfTimeError(Exception):
    """As a task's time limit raises it: by a signal, anywhere."""


def test_one_that_is_interrupted_leaves_nothing_to_others(app: Flask) -> None:
    def interrupt(*_: Any) -> None:
        raise OutOfTimeError

    before = fetch_value(_BACKEND)
    own = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(OutOfTimeError), unit_of_work() as uow:
            uow.execute(_ADD, id=new_id(), requested_at=utcnow())
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            wait(uow, 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, own)
    assert fetch_value(_BACKEND) != before
    assert count() == 1
    pool: Any = db.engine.pool
    assert pool.checkedout() == 0


def test_one_that_was_prepared_before_a_migration_is_repeated_by_others(
    app: Flask, environment: Environment
) -> None:
    for _ in range(10):  # the driver has the server prepare what comes often
        add()
    url = environment.variables["TRELLIS_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as other:
        for kind in ("timestamp", "timestamptz"):
            other.execute(f"ALTER TABLE core_erasure ALTER COLUMN requested_at TYPE {kind}")
            with pytest.raises(DBAPIError) as raised:
                add()
            assert fault_of(raised.value) is Fault.LOST
            for _ in range(10):
                add()
