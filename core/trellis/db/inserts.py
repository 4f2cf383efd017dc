"""Inserts that may meet a row of the same key."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from trellis.db.base import Model

Insert = postgresql.Insert | sqlite.Insert


def insert_into(session: Session, model: type[Model]) -> Insert:
    """An insert that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``.

    SQLAlchemy has them in each dialect by itself, with the same words.
    """
    return insert_for(session.get_bind().dialect.name, cast("Table", model.__table__))


def insert_for(dialect: str, table: Table) -> Insert:
    """The same for the name of a dialect and a table, to be made once and kept."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
