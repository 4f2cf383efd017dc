"""Time: the process's clock for what people see, the database's for what processes agree on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Float, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from trellis.db.types import UTCDateTime


def utcnow() -> datetime:
    """The current time of this process, aware, in UTC."""
    return datetime.now(UTC)


class _DatabaseNow(FunctionElement[datetime]):
    type = UTCDateTime()
    inherit_cache = True


@compiles(_DatabaseNow, "sqlite")
def _sqlite(element: _DatabaseNow, compiler: SQLCompiler, **kw: Any) -> str:
    # The same text form in which SQLAlchemy stores times, so that they compare as text.
    offset = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', ({offset}) || ' seconds') || '000')"


@compiles(_DatabaseNow, "postgresql")
def _postgresql(element: _DatabaseNow, compiler: SQLCompiler, **kw: Any) -> str:
    # clock_timestamp, not now(): a lease is counted from this statement, not from BEGIN.
    offset = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {offset}))"


def database_now(seconds: float | ColumnElement[Any] = 0.0) -> ColumnElement[datetime]:
    """SQL for the database's clock plus ``seconds``; the one clock that all processes share."""
    offset = seconds if isinstance(seconds, ColumnElement) else literal(float(seconds), Float())
    return _DatabaseNow(offset)
