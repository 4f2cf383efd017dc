"""Reads: column selects outside any transaction, or inside the unit of work that has begun.

A read never opens a transaction of its own: on PostgreSQL that saves two round trips, on SQLite a
transaction that read first could not write later. A read whose connection was lost is repeated once
on a fresh one: a database that was restarted costs nobody an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from trellis.db.faults import Fault, fault_of
from trellis.db.transaction import alone, begun_transaction
from trellis_statements.compiled import Columns, Compiled, Found

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
    if (transaction := begun_transaction()) is not None:
        return transaction.rows(statement, parameters, first=first)
    try:
        return alone(statement, parameters, first=first)
    except DBAPIError as error:
        if fault_of(error) is not Fault.LOST:
            raise
    return alone(statement, parameters, first=first)
