"""Everything that the database holds, as text: what is gone, and what does not lie in clear."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import MetaData, select

from trellis.db.base import db


def all_rows(app: Flask) -> str:
    """A line for each row of each table, with the values that a thief of the file would see.

    Ids are in both their forms; a secret is as encrypted as it lies there.
    """
    with app.app_context(), db.engine.connect() as connection:
        metadata = MetaData()  # not the models', whose types decrypt
        metadata.reflect(connection)
        return "\n".join(
            " ".join([table.name, *map(_text, row)])
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def _text(value: Any) -> str:
    if isinstance(value, UUID):
        return f"{value} {value.hex}"
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
