"""The database under the application of tests: saved once migrated, and brought back at will."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from trellis.testing.postgresql import PostgreSQL
from trellis.testing.saved_rows import SavedRows


class Database(Protocol):
    """What an environment needs of its database."""

    url: str

    def save(self) -> None:
        """Remember what it holds now. Nobody may be connected."""

    def restore(self, disconnect: Callable[[], None]) -> None:
        """Bring back what was saved; ``disconnect`` ends the connections of the application."""


class SQLiteDatabase:
    """A file, and a copy of it."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "trellis.db"
        self._saved = directory / "template.db"
        self.url = f"sqlite:///{self._file}"

    def save(self) -> None:
        with sqlite3.connect(self._file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copyfile(self._file, self._saved)

    def restore(self, disconnect: Callable[[], None]) -> None:
        disconnect()
        for suffix in ("-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        # Another file of that name: a thread that still has the old one open spoils nothing.
        fresh = self._file.with_suffix(".fresh")
        shutil.copyfile(self._saved, fresh)
        fresh.replace(self._file)


class PostgreSQLDatabase:
    """A database on a server, and a template of it; both belong to this process.

    A new copy of the template takes 20 times as long as bringing the rows back, so that is what
    follows on a test that changed tables, or left somebody in the middle of a transaction.
    """

    def __init__(self, server: str) -> None:
        self._server = make_url(server).set(drivername="postgresql")
        self._name = f"trellis_test_{os.getpid()}"
        self._saved = f"{self._name}_saved"
        self.url = self._address(self._name)
        self._rows: SavedRows | None = None
        self.drop()
        self._do("CREATE DATABASE {}", self._name)

    def save(self) -> None:
        self._do("CREATE DATABASE {} TEMPLATE {}", self._saved, self._name)
        self._rows = SavedRows(self.url)

    def restore(self, disconnect: Callable[[], None]) -> None:
        assert self._rows is not None, "nothing was saved"
        if self._rows.restored():
            return
        disconnect()
        self._do("DROP DATABASE {} WITH (FORCE)", self._name)
        self._do("CREATE DATABASE {} TEMPLATE {}", self._name, self._saved)

    def drop(self) -> None:
        """Leave nothing on the server."""
        if self._rows is not None:
            self._rows.close()
        for name in (self._name, self._saved):
            self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _address(self, database: str | None) -> str:
        return self._server.set(database=database).render_as_string(hide_password=False)

    def _do(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._address(self._server.database), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def on_sqlite(directory: Path) -> Iterator[Database]:
    """A database in the directory."""
    yield SQLiteDatabase(directory)


@contextmanager
def on_postgresql(server: str | None) -> Iterator[Database]:
    """A database on the server of this address, or on one that is started for the block."""
    own = PostgreSQL() if server is None else None
    try:
        if own is not None:
            own.start()
        database = PostgreSQLDatabase(server or (own and own.url()) or "")
        try:
            yield database
        finally:
            database.drop()
    finally:
        if own is not None:
            own.close()
