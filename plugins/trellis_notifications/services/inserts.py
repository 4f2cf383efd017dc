"""Inserts that may meet a row of the same key, the same for both databases."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from trellis.db import Model


def insert_into(session: Session, model: type[Model]) -> postgresql.Insert | sqlite.Insert:
    """An insert that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement: postgresql.Insert | sqlite.Insert = dialect.insert(model)
    return statement
