"""A compiled write leaves what the statement leaves through the session, and fails as it does."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import datetime
from random import Random
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    JSON,
    Column,
    Integer,
    MetaData,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, InvalidRequestError, StatementError
from tests.core.db.columns import DOCUMENTS, TIMES, heard, row_for, told

from trellis.db import Compiled, Model, UTCDateTime, database_now, fetch_all, fetch_value, new_id
from trellis.db.base import db
from trellis.observe.statements import counted_statements
from trellis.privacy.models import Erasure
from trellis.unit_of_work import collection, unit_of_work

pytestmark = pytest.mark.usefixtures("app_context")

THINGS = Table(
    "written_things",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("number", Integer, unique=True),
    Column("document", JSON),
    Column("at", UTCDateTime),
)
NEW = Compiled(
    insert(THINGS)
    .values({name: bindparam(name) for name in ("id", "number", "document", "at")})
    .returning(THINGS)
)
MOVED = Compiled(
    update(THINGS)
    .where(THINGS.c.number == bindparam("old"))
    .values(number=bindparam("new"), at=func.coalesce(THINGS.c.at, database_now()))
    .returning(literal(1))
)
NUMBERS = Compiled(select(THINGS.c.number).order_by(THINGS.c.number))


@pytest.fixture(autouse=True)
def things(app_context: None) -> Any:
    THINGS.create(db.engine)
    yield
    THINGS.drop(db.engine)


def thing(number: int | None, **values: Any) -> dict[str, Any]:
    return {"id": new_id(), "number": number, "document": None, "at": None, **values}


def add(*numbers: int | None) -> None:
    with unit_of_work() as uow:
        for number in numbers:
            uow.execute(NEW, **thing(number))


def numbers() -> list[int]:
    return [row.number for row in fetch_all(NUMBERS)]


def test_every_column_of_every_model_is_written_as_by_the_session() -> None:
    chance = Random(7)
    compared = 0
    for table in Model.metadata.sorted_tables:
        by_name: dict[str, Any] = {column.name: bindparam(column.name) for column in table.columns}
        write = Compiled(insert(table).values(by_name))
        everything = select(*table.columns).order_by(*table.primary_key.columns)
        for _ in range(8):
            row = row_for(table, chance)
            with unit_of_work() as uow, suppress(IntegrityError), uow.session.begin_nested():
                with uow.session.begin_nested() as taken_back:
                    uow.session.execute(insert(table), row)
                    expected = told(uow.session.execute(everything).all())
                    taken_back.rollback()
                assert uow.execute(write, **row) == ()
                assert told(uow.session.execute(everything).all()) == expected, table.name
                compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    "document",
    [
        *(*DOCUMENTS, None, "text", "\ud800 \0", [None], 1.5),
        pytest.param(float("inf"), marks=pytest.mark.sqlite_only),  # no JSON of PostgreSQL's
    ],
)
@pytest.mark.parametrize("at", [None, *TIMES])
def test_what_is_returned_is_what_was_given(document: Any, at: datetime | None) -> None:
    for _ in range(3):  # it learns in the first one
        given = thing(None, document=document, at=at)
        with unit_of_work() as uow:
            [row] = uow.execute(NEW, **given)
        assert row._asdict() == given
        assert row.at is None or row.at.tzinfo is not None


def test_what_is_wrong_with_a_value_is_said_and_nothing_is_written() -> None:
    add(1)
    wrong = ({"at": datetime(2026, 1, 1)}, {"document": {1, 2}}, {"id": "no id"})  # noqa: DTZ001
    said = (StatementError, ValueError, TypeError, AttributeError)
    for values in wrong * 2:
        with pytest.raises(said), unit_of_work() as uow:
            uow.execute(NEW, **thing(2, **values))
    assert numbers() == [1]


def test_of_what_it_does_not_meet_nothing_is_returned() -> None:
    add(1, 2)
    for _ in range(3):
        with unit_of_work() as uow:
            assert uow.execute(MOVED, old=7, new=8) == []
            [row] = uow.execute(MOVED, old=1, new=10)
            assert tuple(row) == (1,)
            uow.execute(MOVED, old=10, new=1)
    assert numbers() == [1, 2]


def test_a_write_without_returning_and_one_in_plain_sql() -> None:
    add(1, 2, 3)
    gone = Compiled(delete(THINGS).where(THINGS.c.number == bindparam("number")))
    shifted = Compiled(text("UPDATE written_things SET number = number * :by"))
    for number, by in ((1, 2), (4, 3)):
        with unit_of_work() as uow:
            assert uow.execute(gone, number=number) == ()
            assert uow.execute(shifted, by=by) == ()
    assert numbers() == [18]


def test_several_rows_are_one_statement_once_it_is_known() -> None:
    write = Compiled(insert(THINGS).values(number=bindparam("number"), id=bindparam("id")))
    for first in (0, 10, 20):
        rows = [{"id": new_id(), "number": first + number} for number in range(3)]
        with counted_statements() as counted, unit_of_work() as uow:
            write.run(uow.session.connection(), rows)
        assert counted.count == (3 if first == 0 else 1)
    assert numbers() == [0, 1, 2, 10, 11, 12, 20, 21, 22]


@pytest.mark.parametrize("wrong", [{}, {"old": 1}, {"old": 1, "new": 2, "more": 3}])
def test_a_wrong_name_is_said_before_anything_begins(wrong: dict[str, Any]) -> None:
    with unit_of_work() as uow:
        with pytest.raises(TypeError, match=r"it takes \['new', 'old'\]"):
            uow.execute(MOVED, **wrong)
        assert uow._transaction is None


def test_a_default_that_is_made_in_python_has_to_be_given() -> None:
    table = Table("t", MetaData(), Column("id", Integer), Column("made", Uuid, default=new_id))
    with pytest.raises(TypeError, match="made has a default"), unit_of_work() as uow:
        uow.execute(Compiled(insert(table).values(id=bindparam("id"))), id=1)


def test_it_sees_what_the_session_has_still_to_write_and_the_session_sees_it() -> None:
    moved = Compiled(
        update(Erasure).where(Erasure.id == bindparam("which")).values(completed_at=bindparam("at"))
    )
    for _ in range(2):
        erasure = Erasure(id=new_id(), requested_at=TIMES[0])
        with unit_of_work() as uow:
            uow.session.add(erasure)
            uow.execute(moved, which=erasure.id, at=TIMES[1])
            uow.session.refresh(erasure)
            assert erasure.completed_at == TIMES[1]


def test_reads_of_the_unit_see_it_and_others_do_not(app: Flask) -> None:
    add(1)
    with unit_of_work() as uow:
        uow.execute(NEW, **thing(2))
        assert numbers() == [1, 2]
        assert [row.number for row in fetch_all(select(THINGS.c.number))] == [1, 2]
        with app.app_context(), db.engine.connect() as other:
            assert len(other.execute(NUMBERS.statement).all()) == 1


@pytest.mark.parametrize("savepoint", [False, True])
def test_one_that_failed_needs_a_savepoint_to_be_passed_over(savepoint: bool) -> None:
    add(1)
    cannot = pytest.raises(RuntimeError, match="a part of this unit")
    with nullcontext() if savepoint else cannot, unit_of_work() as uow:
        uow.execute(MOVED, old=1, new=2)
        around = uow.session.begin_nested() if savepoint else nullcontext()
        with suppress(IntegrityError), around:
            uow.execute(NEW, **thing(2))
    assert numbers() == ([2] if savepoint else [1])


def test_one_that_failed_is_named_as_by_the_session_without_what_people_wrote() -> None:
    add(5)
    for compiled in (False, True):
        given = thing(5, document="secret")
        with pytest.raises(IntegrityError) as raised, unit_of_work() as uow:
            if compiled:
                uow.execute(NEW, **given)
            else:
                uow.session.execute(insert(THINGS), given)
        assert "secret" not in str(raised.value)
        assert raised.value.statement is not None
        assert raised.value.hide_parameters


def test_nothing_runs_in_a_transaction_that_has_ended() -> None:
    """SQLite would commit it at once."""
    add(1)
    taken = Erasure(id=new_id(), requested_at=TIMES[0])
    with unit_of_work() as uow:
        uow.session.add(taken)
    with pytest.raises(RuntimeError, match="a part of this unit"), unit_of_work() as uow:
        uow.session.add(Erasure(id=taken.id, requested_at=TIMES[0]))
        with suppress(IntegrityError):
            uow.session.flush()
        uow.session.expunge_all()
        with pytest.raises(InvalidRequestError):
            uow.execute(NEW, **thing(2))
        with pytest.raises(InvalidRequestError):
            fetch_value(NUMBERS)
    assert numbers() == [1]


def test_the_parts_of_a_collection_take_theirs_back() -> None:
    with collection(lambda: None):
        add(1)
        with pytest.raises(IntegrityError):
            add(2, 1)
        add(3)
        with pytest.raises(IntegrityError):
            add(4, 3)
    assert numbers() == [1, 3]


def test_it_is_heard_and_counted() -> None:
    with counted_statements() as counted, heard() as texts, unit_of_work() as uow:
        for number in range(4):
            uow.execute(MOVED, old=number, new=-number)
    assert counted.count == len(texts) == 4
    assert len(set(texts)) == 1
