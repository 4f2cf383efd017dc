"""How the engine is set up: SQLite so that units of work never meet 'database is locked'."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from trellis.db.base import db

# How long a unit of work waits for another process's to end before it fails.
SQLITE_BUSY_SECONDS = 30

# How long emptying the log waits for readers; everybody who writes waits with it.
_LOG_BUSY_SECONDS = 2

UNIT = {"trellis_unit": True}
"""Execution option of a connection that belongs to a unit of work."""


def init_engine(app: Flask, database_url: str) -> None:
    """Bind the engine to the application."""
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_pre_ping": not _is_sqlite(database_url),
        # An error would otherwise carry what people wrote into logs and dead letters.
        "hide_parameters": True,
    }
    db.init_app(app)
    with app.app_context():
        if _is_sqlite(database_url):
            _listen(db.engine)


def _is_sqlite(database_url: str) -> bool:
    return database_url.startswith("sqlite")


def _listen(engine: Engine) -> None:
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's implicit BEGIN is deferred: a transaction that reads first and writes later fails
    # at once with 'database is locked', whatever the time-out. Off with it; units begin by hand.
    connection.isolation_level = None
    # First, because switching to WAL needs the lock too when many processes start at once.
    connection.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten with zeros, where most builds would leave it in free pages.
    connection.execute("PRAGMA secure_delete = ON")


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("trellis_unit"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def empty_log() -> None:
    """Leave nothing in SQLite's log, which holds pages as they were before a deletion.

    Raises TimeoutError while somebody reads such a page. On PostgreSQL there is nothing to do.
    """
    if db.engine.dialect.name != "sqlite":
        return
    with db.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LOG_BUSY_SECONDS * 1000}")
        try:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
    if busy:
        raise TimeoutError("somebody reads pages of SQLite's log, so it cannot be emptied now")
