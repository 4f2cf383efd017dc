"""Values for every column there is, and all that a row and a block of statements show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Table, event, insert, select
from sqlalchemy.exc import IntegrityError

from trellis.db import fetch_all, new_id
from trellis.db.base import db
from trellis.unit_of_work import unit_of_work

TIMES = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
)
DOCUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"näme": [1, 2.5, None, True, "\u2028"], "deep": {"er": {}}},
    {"big": 2**70},
)
_ROWS = 12


def value_of(column: Column[Any], chance: Random) -> Any:
    """Some value that the column can hold; often NULL where it may be."""
    if column.nullable and chance.random() < 0.4:
        return None
    kind = getattr(column.type, "impl_instance", column.type).python_type
    if isinstance(column.type, JSON):
        return ["a", "b"] if column.name in ("events", "tags") else chance.choice(DOCUMENTS)
    makers: dict[type, Callable[[], Any]] = {
        UUID: lambda: chance.choice([new_id(), UUID(int=chance.getrandbits(128))]),
        datetime: lambda: chance.choice(TIMES),
        date: lambda: chance.choice(TIMES).date(),
        bool: lambda: chance.random() < 0.5,
        int: lambda: chance.randrange(100, 32_000),
        float: lambda: chance.random() * 10.0 ** chance.randrange(-9, 9),
        str: lambda: f"{chance.getrandbits(20):x}ü"[: getattr(column.type, "length", None) or 9],
        bytes: lambda: chance.randbytes(chance.randrange(9)),
    }
    return makers[kind]()


def row_for(table: Table, chance: Random) -> dict[str, Any]:
    """Some row for a table whose parents have theirs; a rule of its own may refuse it."""
    row = {column.name: value_of(column, chance) for column in table.columns}
    for key in table.foreign_keys:
        parents = [found[0] for found in fetch_all(select(key.column))]
        row[key.parent.name] = chance.choice(parents)
    return row


def fill(table: Table, chance: Random) -> None:
    """Put rows into a table whose parents have theirs; what it refuses is left out."""
    for _ in range(_ROWS):
        with unit_of_work() as uow, suppress(IntegrityError), uow.session.begin_nested():
            uow.session.execute(insert(table), row_for(table, chance))


def by_session(statement: Any, **parameters: Any) -> list[Any]:
    with unit_of_work() as uow:
        return list(uow.session.execute(statement, parameters).all())


def told(rows: Any) -> list[Any]:
    """All that a row shows of itself."""
    return [
        (
            tuple(row),
            [type(value) for value in row],
            [getattr(value, "tzinfo", None) for value in row],
            row._fields,
            dict(row._mapping),
            [getattr(row, name) for name in row._fields],
        )
        for row in rows
    ]


@contextmanager
def heard() -> Iterator[list[str]]:
    """The statements of a block, as those who listen hear them."""
    texts: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        texts.append(statement)

    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        yield texts
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)
