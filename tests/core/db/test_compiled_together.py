"""Compiled reads beside units of work and beside one another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError

from trellis.db import Compiled, fetch_all, fetch_one, fetch_value, new_id, utcnow
from trellis.db.base import db
from trellis.db.engine import empty_log
from trellis.errors import NotFound
from trellis.privacy.models import Erasure
from trellis.unit_of_work import UnitOfWork, unit_of_work

_BY_ID = Compiled(select(Erasure.id, Erasure.subject).where(Erasure.id == bindparam("id")))
_COUNT = Compiled(select(func.count()).select_from(Erasure))
_ALL = Compiled(select(Erasure.id).order_by(Erasure.id))
_SECONDS = 30.0


@pytest.fixture(autouse=True)
def known(app_context: None) -> None:
    """Each statement has been run once, so that it is the driver that runs it from now on."""
    fetch_all(_BY_ID, id=new_id())
    fetch_all(_COUNT)
    fetch_all(_ALL)


def add(uow: UnitOfWork, count: int = 1) -> list[UUID]:
    ids = [new_id() for _ in range(count)]
    rows = [{"id": id_, "subject": new_id(), "requested_at": utcnow()} for id_ in ids]
    uow.session.execute(insert(Erasure), rows)
    return ids


def elsewhere(app: Flask, read: Callable[[], Any]) -> Any:
    """What a read gives in another thread, which has no unit of work."""

    def run() -> Any:
        with app.app_context():
            return read()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(_SECONDS)


def test_a_unit_reads_its_own_work_and_nobody_else_does(app: Flask) -> None:
    with unit_of_work() as uow:
        [made] = add(uow)
        assert fetch_value(_COUNT) == 1
        assert elsewhere(app, lambda: fetch_value(_COUNT)) == 0
        unflushed = Erasure(id=new_id(), requested_at=utcnow())
        uow.session.add(unflushed)
        row = fetch_one(_BY_ID, id=unflushed.id)
        assert row is not None
        assert row.id == unflushed.id
        assert elsewhere(app, lambda: fetch_one(_BY_ID, id=made)) is None
    assert elsewhere(app, lambda: fetch_value(_COUNT)) == fetch_value(_COUNT) == 2


def test_a_unit_that_has_not_begun_reads_what_all_read(app: Flask) -> None:
    with unit_of_work() as uow:
        assert fetch_value(_COUNT) == 0
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_add_elsewhere, app).result(_SECONDS)
        assert fetch_value(_COUNT) == 1
        add(uow)
    assert fetch_value(_COUNT) == 2


def _add_elsewhere(app: Flask) -> None:
    with app.app_context(), unit_of_work() as uow:
        add(uow)


def test_a_unit_after_a_read_is_a_transaction_and_a_read_after_it_is_none() -> None:
    """All on one connection, which goes from one to the other."""
    db.engine.dispose()
    for _ in range(3):
        fetch_value(_COUNT)
        with pytest.raises(NotFound), unit_of_work() as uow:
            add(uow)
            assert fetch_value(_COUNT) == 1
            raise NotFound
        assert fetch_value(_COUNT) == 0
    pool: Any = db.engine.pool
    assert pool.checkedin() == 1


@pytest.mark.postgresql_only
def test_a_read_begins_no_transaction_and_leaves_its_bounds_in_force() -> None:
    """Listeners look at the connection, too, right after the statement."""
    settings = Compiled(select(func.current_setting("statement_timeout")))
    states: list[str] = []

    def look(connection: Any, *_: Any) -> None:
        states.append(connection.connection.dbapi_connection.info.transaction_status.name)

    event.listen(db.engine, "after_cursor_execute", look)
    try:
        assert [fetch_value(settings) for _ in range(3)] == ["30s"] * 3
        with unit_of_work():
            assert fetch_value(settings) == "30s"
        with unit_of_work() as uow:
            add(uow)
    finally:
        event.remove(db.engine, "after_cursor_execute", look)
    assert states == ["IDLE"] * 4 + ["INTRANS"]


def test_threads_share_a_statement(app: Flask) -> None:
    with unit_of_work() as uow:
        ids = add(uow, 60)
    fresh = Compiled(select(Erasure.id, Erasure.subject).where(Erasure.id == bindparam("id")))

    def read(number: int) -> bool:
        with app.app_context():
            wanted = ids[number % len(ids)]
            row = fetch_one(fresh, id=wanted)
            return row is not None and row.id == wanted and fetch_value(_COUNT) >= 60

    def write(_: int) -> bool:
        with app.app_context(), unit_of_work() as unit:
            [made] = add(unit)
            row = fetch_one(fresh, id=made)
            return row is not None and row.id == made

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(write if n % 10 == 0 else read, n) for n in range(400)]
        assert all(answer.result(_SECONDS) for answer in answers)
    pool_of_all: Any = db.engine.pool
    assert pool_of_all.checkedout() == 0


@pytest.mark.sqlite_only
def test_a_read_of_one_row_leaves_the_database_to_others() -> None:
    with unit_of_work() as uow:
        add(uow, 3000)
    assert fetch_one(_ALL) is not None
    empty_log()  # which waits for whoever still reads
    with unit_of_work() as uow:
        add(uow)


def test_a_statement_that_is_wrong_is_told_as_ever() -> None:
    table = Table("compiled_gone", MetaData(), Column("id", Integer, primary_key=True))
    table.create(db.engine)
    statement = select(table.c.id)
    compiled = Compiled(statement)
    fetch_all(compiled)
    table.drop(db.engine)
    faults = []
    for read in (statement, compiled, compiled):
        with pytest.raises(DBAPIError) as raised:
            fetch_all(read)
        assert not raised.value.connection_invalidated
        faults.append((type(raised.value), raised.value.statement, type(raised.value.orig)))
    assert faults == faults[:1] * 3
    assert fetch_all(_ALL) == []
