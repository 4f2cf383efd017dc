"""A set's rows on their way into a database whose tables were made at the set's revisions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Table, delete, func, select
from sqlalchemy.engine import Connection

from trellis_backup import copy_text, manifest
from trellis_backup.errors import BackupError
from trellis_backup.manifest import Manifest
from trellis_backup.snapshot import counts_up, owned_tables, quoted, sequence_of
from trellis_backup.target import Target, checked, file_name

_AT_ONCE = 500


def load(connection: Connection, target: Target, found: Manifest) -> None:
    """Fill the tables, each in a transaction. Raises BackupError for rows that were altered."""
    tables = owned_tables(connection)
    expected = {table.name: set(table.columns.keys()) for table in tables}
    if expected != {table.name: set(table.columns) for table in found.tables}:
        raise BackupError(f"the tables of set {found.id} are not those of its revisions.")
    # What migrations put into tables is in the set as well.
    for table in reversed(tables):
        connection.execute(delete(table))
    connection.commit()
    facts = {table.name: table for table in found.tables}
    for table in tables:
        _fill(connection, target, found, table, facts[table.name])
        connection.commit()


def lines(target: Target, found: Manifest, facts: manifest.Table) -> Iterator[bytes]:
    """A table's rows in the set. Raises BackupError, at their end when they are others."""
    name = file_name(found.id, f"tables/{facts.name}")
    return checked(name, target.read(name), facts.sha256, facts.size)


def _fill(
    connection: Connection,
    target: Target,
    found: Manifest,
    table: Table,
    facts: manifest.Table,
) -> None:
    pieces = lines(target, found, facts)
    try:
        if connection.dialect.name == "sqlite":
            _into_sqlite(connection, table, facts, pieces)
        else:
            _into_postgresql(connection, table, facts, pieces)
    except ValueError as error:
        raise BackupError(f"the rows of {table.name} cannot be read: {error}") from error
    rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if rows != facts.rows:
        raise BackupError(f"{table.name} has {rows} rows, and had {facts.rows}.")


def _into_postgresql(
    connection: Connection, table: Table, facts: manifest.Table, pieces: Iterator[bytes]
) -> None:
    connection.exec_driver_sql("SET LOCAL timezone = 'UTC'")
    name, columns = quoted(connection, table, facts.columns)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
        for piece in pieces:
            copy.write(piece)
    sequence = sequence_of(connection, table)
    if sequence is not None:
        last = _last(connection, table, facts)
        connection.exec_driver_sql("SELECT setval(%s, %s, %s)", (sequence, max(last, 1), last > 0))


def _into_sqlite(
    connection: Connection, table: Table, facts: manifest.Table, pieces: Iterator[bytes]
) -> None:
    # A row may refer to a later one of its own table.
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    name, columns = quoted(connection, table, facts.columns)
    marks = ", ".join("?" * len(facts.columns))
    statement = f"INSERT INTO {name} ({columns}) VALUES ({marks})"  # noqa: S608 (quoted)
    rows = copy_text.parsed(pieces, [table.columns[column].type for column in facts.columns])
    while batch := list(islice(rows, _AT_ONCE)):
        connection.exec_driver_sql(statement, batch)
    if facts.counter is not None and counts_up(connection, table):
        last = _last(connection, table, facts)
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
        connection.exec_driver_sql(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last)
        )


def _last(connection: Connection, table: Table, facts: manifest.Table) -> int:
    """The number after which the table's own go on: none is given twice."""
    (column,) = table.primary_key.columns
    highest = connection.execute(select(func.max(column))).scalar()
    return max(facts.counter or 0, highest or 0)
