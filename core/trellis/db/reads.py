"""Reads: column selects outside any transaction, or inside the unit of work that has begun.

A read never opens a transaction of its own: on PostgreSQL that saves two round trips, on SQLite a
transaction that read first could not write later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Result, Select
from sqlalchemy.engine import Engine, Row

from trellis.db.base import db
from trellis.db.session import begun_session

# `Select[Any]` would mean a select of exactly one column.
Columns: TypeAlias = Select[*tuple[Any, ...]]
Found: TypeAlias = Row[*tuple[Any, ...]]


def fetch_all(statement: Columns, **parameters: Any) -> Sequence[Found]:
    """All rows of a select of columns."""
    with _executed(statement, parameters) as result:
        return result.all()


def fetch_one(statement: Columns, **parameters: Any) -> Found | None:
    """The first row of a select of columns, or ``None``."""
    with _executed(statement, parameters) as result:
        return result.first()


def fetch_value(statement: Columns, **parameters: Any) -> Any:
    """The first column of the first row, or ``None``."""
    row = fetch_one(statement, **parameters)
    return None if row is None else row[0]


@contextmanager
def _executed(statement: Columns, parameters: dict[str, Any]) -> Iterator[Result[*tuple[Any, ...]]]:
    session = begun_session()
    if session is not None:
        yield session.execute(statement, parameters)
        return
    with _reader().connect() as connection:
        yield connection.execute(statement, parameters)


def _reader() -> Engine:
    engine = db.engine
    if engine.dialect.name == "sqlite":
        return engine  # connections are without transactions already, see engine.py
    return engine.execution_options(isolation_level="AUTOCOMMIT")
