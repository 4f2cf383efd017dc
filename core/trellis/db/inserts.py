"""Inserts that may meet a row of the same key."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from trellis.db.base import Model

Insert = postgresql.Insert | sqlite.Insert


def insert_into(session: Session, model: type[Model]) -> Insert:
    """An insert that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``.

    SQLAlchemy has them in each dialect by itself, with the same words.
    """
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement: Insert = dialect.insert(model)
    return statement
