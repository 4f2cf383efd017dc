"""Reads: column selects outside any transaction, or inside the unit of work that has begun.

A read never opens a transaction of its own: on PostgreSQL that saves two round trips, on SQLite a
transaction that read first could not write later. A read whose connection was lost is repeated once
on a fresh one: a database that was restarted costs nobody an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Result
from sqlalchemy.exc import DBAPIError

from trellis.db.base import db
from trellis.db.compiled import Columns, Compiled, Found
from trellis.db.faults import Fault, fault_of
from trellis.db.session import begun_session

__all__ = ["Columns", "Found", "fetch_all", "fetch_one", "fetch_value"]


def fetch_all(statement: Columns | Compiled, /, **parameters: Any) -> Sequence[Found]:
    """All rows of a select of columns."""
    return _fetch(statement, parameters, first=False)


def fetch_one(statement: Columns | Compiled, /, **parameters: Any) -> Found | None:
    """The first row of a select of columns, or ``None``."""
    rows = _fetch(statement, parameters, first=True)
    return rows[0] if rows else None


def fetch_value(statement: Columns | Compiled, /, **parameters: Any) -> Any:
    """The first column of the first row, or ``None``."""
    row = fetch_one(statement, **parameters)
    return None if row is None else row[0]


def _fetch(
    statement: Columns | Compiled, parameters: dict[str, Any], *, first: bool
) -> Sequence[Found]:
    if isinstance(statement, Compiled):
        statement.check(parameters)
    session = begun_session()
    if session is not None:
        select = statement.select if isinstance(statement, Compiled) else statement
        return _taken(session.execute(select, parameters), first=first)
    try:
        return _read(statement, parameters, first=first)
    except DBAPIError as error:
        if fault_of(error) is not Fault.LOST:
            raise
    return _read(statement, parameters, first=first)


def _read(
    statement: Columns | Compiled, parameters: dict[str, Any], *, first: bool
) -> Sequence[Found]:
    engine = db.engine
    dialect = engine.dialect
    if isinstance(statement, Compiled) and (plan := statement.plan(dialect)) is not None:
        return plan.rows(engine, parameters, first=first)
    with engine.connect() as connection:
        # On SQLite connections are without transactions already, see engine.py.
        if dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
        if isinstance(statement, Compiled):
            result = connection.execute(statement.select, parameters)
            statement.learn(dialect, result)
        else:
            result = connection.execute(statement, parameters)
        return _taken(result, first=first)


def _taken(result: Result[*tuple[Any, ...]], *, first: bool) -> Sequence[Found]:
    if not first:
        return result.all()
    row = result.first()
    return [] if row is None else [row]
