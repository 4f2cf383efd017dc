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
    table = cast("Table", model.__table__)
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)
