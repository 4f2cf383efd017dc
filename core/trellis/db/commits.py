"""Commits that do not wait for the disk: for what is done again when it is lost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class lazy_commit(FunctionElement[str]):  # noqa: N801 (a function of SQL)
    """SQL expression that has the present transaction's commit not wait for the disk.

    For a column of what a statement returns anyway, so that it costs no round trip. On SQLite it is
    NULL: there the unit of work says it before the transaction begins.
    """

    type = String()
    inherit_cache = True


@compiles(lazy_commit, "postgresql")
def _postgresql(_element: lazy_commit, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "set_config('synchronous_commit', 'off', true)"


@compiles(lazy_commit, "sqlite")
def _sqlite(_element: lazy_commit, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "NULL"
