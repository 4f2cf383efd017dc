"""Compiled reads while PostgreSQL ends, restarts, or takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import DBAPIError
from tests.core.db.away.conftest import end_connections

from trellis.db import Compiled, fetch_all, fetch_one, fetch_value
from trellis.db.base import db
from trellis.db.faults import Fault, fault_of
from trellis.observe.statements import counted_statements
from trellis.privacy.models import Erasure
from trellis.testing.environment import Environment
from trellis.testing.postgresql import PostgreSQL

_ALL = Compiled(select(Erasure.id))
_SLEEP = Compiled(select(func.pg_sleep(bindparam("seconds"))))
_BACKEND = Compiled(select(func.pg_backend_pid()))


@pytest.fixture
def app(app: Flask) -> Iterator[Flask]:
    with app.app_context():
        db.engine.dispose()  # tests before have left several, and these look at one
        fetch_all(_ALL)
        fetch_all(_SLEEP, seconds=0)
        fetch_all(_BACKEND)
        yield app


def test_f11_a_connection_that_ended_is_replaced_once(app: Flask, server: PostgreSQL) -> None:
    for _ in range(3):
        end_connections(server)
        with counted_statements() as statements:
            assert fetch_all(_ALL) == []
        assert statements.count == 2


def test_f11_one_that_is_lost_empties_the_pool(app: Flask, server: PostgreSQL) -> None:
    both = threading.Barrier(2, timeout=30)

    def hold() -> None:
        with app.app_context(), db.engine.connect():
            both.wait()
            both.wait()

    other = threading.Thread(target=hold)
    other.start()
    both.wait()
    fetch_all(_ALL)
    both.wait()
    other.join()
    end_connections(server)  # of both
    with counted_statements() as statements:
        assert [fetch_all(_ALL) for _ in range(4)] == [[]] * 4
    assert statements.count == 5


def test_f09_a_database_that_was_started_anew_is_read(app: Flask, server: PostgreSQL) -> None:
    server.kill()
    try:
        with pytest.raises(DBAPIError) as raised:
            fetch_all(_ALL)
        assert fault_of(raised.value) is Fault.AWAY
    finally:
        server.start()
    assert fetch_all(_ALL) == []


@contextmanager
def statement_timeout(server: PostgreSQL, milliseconds: int) -> Iterator[None]:
    """Ends statements of the connection that is the only one of the pool."""
    db.engine.dispose()
    with db.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.autocommit = True
        driver.execute(f"SET statement_timeout = {milliseconds}")
        driver.autocommit = False
    yield
    db.engine.dispose()


def test_a_read_that_takes_too_long_is_ended_and_not_repeated(
    app: Flask, server: PostgreSQL
) -> None:
    with statement_timeout(server, 50):
        before = fetch_value(_BACKEND)
        with counted_statements() as statements, pytest.raises(DBAPIError) as raised:
            fetch_all(_SLEEP, seconds=60)
        assert fault_of(raised.value) is Fault.SLOW
        assert statements.count == 1
        assert fetch_value(_BACKEND) == before, "its connection is as good as before"
        with db.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            assert not driver.autocommit


class OutOfTimeError(Exception):
    """As a task's time limit raises it: by a signal, anywhere."""


@pytest.mark.parametrize("read", [_SLEEP, _SLEEP.statement], ids=["compiled", "plain"])
def test_a_read_that_is_interrupted_leaves_nothing_to_others(app: Flask, read: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise OutOfTimeError

    before = fetch_value(_BACKEND)
    own = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        # Of a plain one SQLAlchemy tells that it cannot be rolled back.
        with pytest.raises((OutOfTimeError, DBAPIError)):
            fetch_one(read, seconds=60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, own)
    assert fetch_value(_BACKEND) != before
    assert fetch_all(_ALL) == []
    pool: Any = db.engine.pool
    assert pool.checkedout() == 0
    with db.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        assert not driver.autocommit


def test_a_read_that_was_prepared_before_a_migration_goes_on(
    app: Flask, server: PostgreSQL, environment: Environment
) -> None:
    asked = Compiled(select(Erasure.requested_at))
    for _ in range(10):  # the driver has the server prepare what comes often
        fetch_all(asked)
    url = environment.variables["TRELLIS_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as other:
        for kind in ("timestamp", "timestamptz"):
            other.execute(f"ALTER TABLE core_erasure ALTER COLUMN requested_at TYPE {kind}")
            assert list(fetch_all(asked)) == []
