"""Reads: column selects outside any transaction, or inside the unit of work that has begun.

A read never opens a transaction of its own: on PostgreSQL that saves two round trips, on SQLite a
transaction that read first could not write later. A read whose connection was lost is repeated once
on a fresh one: a database that was restarted costs nobody an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Result, Select
from sqlalchemy.engine import Engine, Row
from sqlalchemy.exc import DBAPIError

from trellis.db.base import db
from trellis.db.faults import Fault, fault_of
from trellis.db.session import begun_session

# `Select[Any]` would mean a select of exactly one column.
Columns: TypeAlias = Select[*tuple[Any, ...]]
Found: TypeAlias = Row[*tuple[Any, ...]]
T = TypeVar("T")


def fetch_all(statement: Columns, **parameters: Any) -> Sequence[Found]:
    """All rows of a select of columns."""
    return _fetch(statement, parameters, lambda result: result.all())


def fetch_one(statement: Columns, **parameters: Any) -> Found | None:
    """The first row of a select of columns, or ``None``."""
    return _fetch(statement, parameters, lambda result: result.first())


def fetch_value(statement: Columns, **parameters: Any) -> Any:
    """The first column of the first row, or ``None``."""
    row = fetch_one(statement, **parameters)
    return None if row is None else row[0]


def _fetch(
    statement: Columns,
    parameters: dict[str, Any],
    take: Callable[[Result[*tuple[Any, ...]]], T],
) -> T:
    session = begun_session()
    if session is not None:
        return take(session.execute(statement, parameters))
    try:
        with _reader().connect() as connection:
            return take(connection.execute(statement, parameters))
    except DBAPIError as error:
        if fault_of(error) is not Fault.LOST:
            raise
    with _reader().connect() as connection:
        return take(connection.execute(statement, parameters))


def _reader() -> Engine:
    engine = db.engine
    if engine.dialect.name == "sqlite":
        return engine  # connections are without transactions already, see engine.py
    return engine.execution_options(isolation_level="AUTOCOMMIT")
