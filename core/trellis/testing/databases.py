"""The database under the application of tests: saved once migrated, and brought back at will."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from trellis.testing.postgresql import PostgreSQL


class Database(Protocol):
    """What an environment needs of its database. Nobody may be connected to it meanwhile."""

    url: str

    def save(self) -> None:
        """Remember what it holds now."""

    def restore(self) -> None:
        """Bring back what was saved."""


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

    def restore(self) -> None:
        for suffix in ("-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._saved, self._file)


class PostgreSQLDatabase:
    """A database on a server, and a template of it; both belong to this process."""

    def __init__(self, server: str) -> None:
        self._server = make_url(server)
        self._name = f"trellis_test_{os.getpid()}"
        self._saved = f"{self._name}_saved"
        self.url = self._server.set(database=self._name).render_as_string(hide_password=False)
        self.drop()
        self._do("CREATE DATABASE {}", self._name)

    def save(self) -> None:
        self._do("CREATE DATABASE {} TEMPLATE {}", self._saved, self._name)

    def restore(self) -> None:
        self._do("DROP DATABASE {} WITH (FORCE)", self._name)
        self._do("CREATE DATABASE {} TEMPLATE {}", self._name, self._saved)

    def drop(self) -> None:
        """Leave nothing on the server."""
        for name in (self._name, self._saved):
            self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _do(self, statement: str, *names: str) -> None:
        address = self._server.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
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
