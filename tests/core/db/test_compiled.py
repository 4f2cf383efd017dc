"""A compiled read gives what the same select gives through SQLAlchemy, of every column there is."""

from __future__ import annotations

import enum
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import (
    Column,
    Enum,
    Float,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Time,
    Uuid,
    bindparam,
    func,
    insert,
    select,
    text,
    tuple_,
)
from tests.core.db.columns import TIMES, by_session, fill, heard, told

from trellis.db import Compiled, Found, Model, fetch_all, fetch_one, fetch_value, new_id
from trellis.db.base import db
from trellis.feed.models import FeedHead
from trellis.observe.statements import counted_statements
from trellis.privacy.models import Erasure
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app_context")


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


def test_every_column_of_every_model_reads_as_by_the_session() -> None:
    chance = Random(4)
    filled = 0
    for table in Model.metadata.sorted_tables:
        fill(table, chance)
        statement = select(*table.columns).order_by(*table.primary_key.columns)
        compiled = Compiled(statement)
        expected = told(by_session(statement))
        assert told(fetch_all(statement)) == expected, table.name
        for _ in range(3):  # it learns in the first one
            assert told(fetch_all(compiled)) == expected, table.name
        first = fetch_one(compiled)
        assert told([first] if first else []) == expected[:1], table.name
        filled += len(expected) > 3
    assert filled > 20


def test_types_that_no_model_has_read_the_same() -> None:
    things = Table(
        "compiled_things",
        MetaData(),
        Column("id", Uuid, primary_key=True),
        Column("colour", Enum(Colour)),
        Column("share", Float),
        Column("price", Numeric(12, 4)),
        Column("at", Time),
        Column("lasts", Interval),
        Column("bytes", LargeBinary),
        Column("text_id", Uuid(as_uuid=False)),
    )
    things.create(db.engine)
    try:
        rows = [
            {
                "id": new_id(),
                "colour": Colour.GREEN,
                "share": 0.1,
                "price": "1.5",
                "at": TIMES[1].time(),
                "lasts": timedelta(days=2, microseconds=5),
                "bytes": b"\x00\xff",
                "text_id": str(new_id()),
            },
            {"id": new_id()} | dict.fromkeys([c.name for c in things.columns][1:]),
        ]
        with unit_of_work() as uow:
            uow.session.execute(insert(things), rows)
        for columns in ([*things.columns], *([column] for column in things.columns)):
            statement = select(*columns).order_by(things.c.id)
            compiled = Compiled(statement)
            expected = told(by_session(statement))
            assert [told(fetch_all(compiled)) for _ in range(3)] == [expected] * 3
    finally:
        things.drop(db.engine)


@pytest.mark.parametrize("ids", [[], [0], [0, 1, 2], [2, 2], list(range(40))], ids=len)
def test_lists_of_values(ids: list[int]) -> None:
    made = erasures(5)
    some = [made[number] if number < 5 else new_id() for number in ids]
    statement = (
        select(Erasure.id, Erasure.subject)
        .where(Erasure.id.in_(bindparam("ids", expanding=True)), Erasure.id != bindparam("not_id"))
        .order_by(Erasure.id)
    )
    compiled = Compiled(statement)
    for _ in range(2):
        for part in (some, some[:1], []):
            asked: dict[str, Any] = {"ids": part, "not_id": made[4]}
            assert told(fetch_all(compiled, **asked)) == told(by_session(statement, **asked))


def test_lists_of_values_that_the_statement_holds() -> None:
    made = erasures(4)
    statement = select(Erasure.id).where(
        Erasure.id.in_(made[:3]),
        Erasure.requested_at.not_in([TIMES[0], TIMES[2]]),
        tuple_(Erasure.id, Erasure.requested_at).in_(bindparam("pairs", expanding=True)),
    )
    compiled = Compiled(statement.order_by(Erasure.id))
    for numbers in ([0], [1, 2], [1, 3]):
        pairs = [(made[number], TIMES[1]) for number in numbers]
        for _ in range(2):
            found = [row.id for row in fetch_all(compiled, pairs=pairs)]
            assert found == [made[number] for number in numbers if number < 3]


@pytest.mark.parametrize("limit", [0, 1, 4, 9])
def test_limits_that_are_fixed_and_that_are_given(limit: int) -> None:
    erasures(6)
    statement = select(Erasure.id, Erasure.requested_at).order_by(Erasure.id.desc())
    fixed = Compiled(statement.limit(limit).offset(1))
    given = Compiled(statement.limit(bindparam("most")).offset(1))
    expected = told(by_session(statement.limit(limit).offset(1)))
    for _ in range(2):
        assert told(fetch_all(fixed)) == told(fetch_all(given, most=limit)) == expected


def test_columns_of_one_name_expressions_and_labels() -> None:
    [made] = erasures(1)
    other = Erasure.__table__.alias("other")
    statement = select(
        Erasure.id,
        other.c.id,
        func.count().over(),
        (Erasure.requested_at < bindparam("now")).label("count"),
        text("'50%'"),
    ).join(other, other.c.id == Erasure.id)
    compiled = Compiled(statement)
    now = TIMES[2]
    for _ in range(2):
        [row] = fetch_all(compiled, now=now)
        assert told([row]) == told(fetch_all(statement, now=now))
        assert (row.id, row.id_1, row._mapping["count"], row[-1]) == (made, made, True, "50%")


def test_rows_of_a_statement_have_one_index_of_their_columns() -> None:
    erasures(3)
    compiled = Compiled(select(Erasure.id, Erasure.subject))
    fetch_all(compiled)
    rows: list[Found] = [*fetch_all(compiled), *fetch_all(compiled)]
    assert len({id(row._key_to_index) for row in rows}) == 1


def test_nothing_found() -> None:
    compiled = Compiled(select(Erasure.id).where(Erasure.id == bindparam("id")))
    for _ in range(2):
        assert fetch_all(compiled, id=new_id()) == []
        assert fetch_one(compiled, id=new_id()) is None
        assert fetch_value(compiled, id=new_id()) is None


def test_the_same_statements_are_heard_and_counted() -> None:
    erasures(1)
    statement = select(Erasure.id).where(Erasure.id == bindparam("id")).limit(1)
    compiled = Compiled(statement)
    with counted_statements() as counted, heard() as texts:
        for _ in range(4):
            fetch_one(statement, id=new_id())
    with counted_statements() as counted_too, heard() as texts_too:
        for _ in range(4):
            fetch_one(compiled, id=new_id())
    assert (counted.count, texts) == (counted_too.count, texts_too)
    assert len(set(texts)) == 1


@pytest.mark.parametrize("wrong", [{}, {"id": None, "more": 1}, {"di": None}])
def test_a_wrong_name_is_said(wrong: dict[str, Any]) -> None:
    compiled = Compiled(select(Erasure.id).where(Erasure.id == bindparam("id")))
    fetch_all(compiled, id=new_id())
    with pytest.raises(TypeError, match=r"it takes \['id'\]"):
        fetch_all(compiled, **wrong)


@pytest.mark.parametrize("given", [{}, {"id": 1, "other": 2}])
def test_wrong_parameters_are_refused_at_once_and_in_a_unit(
    app_context: None, given: dict[str, Any]
) -> None:
    statement = Compiled(select(Erasure.id).where(Erasure.id == bindparam("id")))
    with pytest.raises(TypeError, match=r"it takes \['id'\]"):
        fetch_all(statement, **given)
    with unit_of_work() as uow:
        uow.session.connection()
        with pytest.raises(TypeError, match=r"it takes \['id'\]"):
            fetch_all(statement, **given)


@pytest.mark.parametrize("value", [{"value": 1}, {"callable_": lambda: 1}, {"required": False}])
def test_a_parameter_has_no_value_of_its_own(value: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="id has a value of its own"):
        Compiled(select(Erasure.id).where(Erasure.id == bindparam("id", **value)))


def test_two_databases_may_share_a_statement(app: Flask, tmp_path: Any) -> None:
    from trellis.db.engine import init_engine
    from trellis.settings import Settings

    compiled = Compiled(select(FeedHead.id, FeedHead.position))
    other = Flask("other")
    init_engine(other, Settings(database_url=f"sqlite:///{tmp_path}/other.sqlite"))
    with other.app_context():
        FeedHead.metadata.create_all(db.engine, [FeedHead.metadata.tables[FeedHead.__tablename__]])
    for _ in range(3):
        assert len(fetch_all(compiled)) == 1
        with other.app_context():
            assert fetch_all(compiled) == []
    with other.app_context():
        db.engine.dispose()


def erasures(count: int) -> list[UUID]:
    ids = [new_id() for _ in range(count)]
    with unit_of_work() as uow:
        uow.session.execute(insert(Erasure), [{"id": id_, "requested_at": TIMES[1]} for id_ in ids])
    return ids
