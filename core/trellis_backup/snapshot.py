"""One state of the whole database, read in one transaction while others write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import MetaData, Table, inspect, select
from sqlalchemy.engine import Connection

from trellis.db import database_now, fetch_value, migrations
from trellis.db.base import db
from trellis.feed.models import FeedHead
from trellis_backup import copy_text

VERSIONS = "_alembic_version"

# How PostgreSQL writes values, and no bound on how long it takes.
_WRITES = (
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


@dataclass(frozen=True)
class Snapshot:
    """What the database held at one moment. All that was committed before ``point`` is in it."""

    connection: Connection
    point: datetime
    feed_position: int

    def tables(self) -> list[Table]:
        """The tables of all owners that are loaded, each after those that it refers to."""
        return owned_tables(self.connection)

    def left_out(self) -> list[str]:
        """Owners that have tables here and are not loaded."""
        names = inspect(self.connection).get_table_names()
        owners = {name.removesuffix(VERSIONS) for name in names if name.endswith(VERSIONS)}
        return sorted(owners - set(migrations.owners()))

    def rows(self, table: Table) -> Iterator[bytes]:
        """A table's rows in the text format of COPY."""
        driver = self.connection.connection.driver_connection
        assert driver is not None
        name, columns = quoted(self.connection, table, table.columns.keys())
        if self.connection.dialect.name == "sqlite":
            rows = driver.execute(f"SELECT {columns} FROM {name}")  # noqa: S608 (quoted)
            yield from copy_text.written(rows, [column.type for column in table.columns])
            return
        with driver.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) TO STDOUT") as copy:
            for piece in copy:
                yield bytes(piece)

    def counter(self, table: Table) -> int | None:
        """The last number that the table's sequence gave, None when it has none."""
        if self.connection.dialect.name == "sqlite":
            return _sqlite_counter(self.connection, table)
        name = sequence_of(self.connection, table)
        if name is None:
            return None
        last, is_called = self.connection.exec_driver_sql(
            f"SELECT last_value, is_called FROM {name}"  # noqa: S608 (the server quoted it)
        ).one()
        return int(last) if is_called else 0


@contextmanager
def snapshot() -> Iterator[Snapshot]:
    """Take a snapshot, which holds until the end of the block."""
    point = fetch_value(select(database_now()))
    engine = db.engine
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            for setting in _WRITES:
                connection.exec_driver_sql(setting)
        # The first read: from here on the transaction sees this state.
        position = connection.execute(select(FeedHead.position)).scalar_one()
        yield Snapshot(connection, point, position)


def owned_tables(connection: Connection) -> list[Table]:
    """As the database has them, which need not be as the installed code would have them."""
    owners = migrations.owners()

    def owned(name: str, _metadata: Any) -> bool:
        return name.partition("_")[0] in owners and not name.endswith(VERSIONS)

    metadata = MetaData()
    metadata.reflect(connection, only=owned)
    return metadata.sorted_tables


def quoted(connection: Connection, table: Table, columns: Iterable[str]) -> tuple[str, str]:
    """The names of a table and of columns, fit for a statement."""
    preparer = connection.dialect.identifier_preparer
    return preparer.format_table(table), ", ".join(map(preparer.quote, columns))


def sequence_of(connection: Connection, table: Table) -> str | None:
    """The sequence that counts a table's primary key up, on PostgreSQL."""
    keys = table.primary_key.columns.keys()
    if len(keys) != 1:
        return None
    name, _ = quoted(connection, table, ())
    found = connection.exec_driver_sql("SELECT pg_get_serial_sequence(%s, %s)", (name, keys[0]))
    sequence: str | None = found.scalar()
    return sequence


def counts_up(connection: Connection, table: Table) -> bool:
    """Whether SQLite never gives a number of this table's twice."""
    made = "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = ?"
    return bool(connection.exec_driver_sql(made, (table.name,)).scalar())


def _sqlite_counter(connection: Connection, table: Table) -> int | None:
    if not counts_up(connection, table):
        return None
    given = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    return int(connection.exec_driver_sql(given, (table.name,)).scalar() or 0)
