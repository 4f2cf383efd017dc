"""How the engine is set up: PostgreSQL with bounds, SQLite so that no unit meets a lock."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from trellis.db.base import db
from trellis.db.types import document
from trellis.settings import Settings

# How long a unit of work waits for another process's to end before it fails.
SQLITE_BUSY_SECONDS = 30
_PATIENT = f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}"
_LOOK_SECONDS = 0.001

_POOL_SECONDS = 3
_REST_SECONDS = 1.0
_LOCK_SECONDS = 10
_IDLE_IN_TRANSACTION_SECONDS = 15
_GONE_SECONDS = 2

# How long emptying the log waits for readers; everybody who writes waits with it.
_LOG_BUSY_SECONDS = 2

UNIT = {"trellis_unit": True}
"""Execution option of a connection that belongs to a unit of work."""
LAZY_UNIT = {**UNIT, "trellis_lazy": True}
"""The same, for a unit whose commit need not wait for the disk."""


def init_engine(app: Flask, core: Settings) -> None:
    """Bind the engine to the application; nothing is connected yet."""
    url = make_url(core.database_url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        # An error would otherwise carry what people wrote into logs and dead letters.
        "hide_parameters": True,
        "json_deserializer": document,
        **(_postgresql(core) if url.get_backend_name() == "postgresql" else {}),
    }
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _prepare)
            event.listen(db.engine, "begin", _begin)
            # As statements of SQLAlchemy's they would cost a third of a quick task (jobs/together).
            dialect: Any = db.engine.dialect
            dialect.do_savepoint = _savepoint("SAVEPOINT {}")
            dialect.do_release_savepoint = _savepoint("RELEASE SAVEPOINT {}")
        else:
            from trellis.db.pulse import Pulse  # which imports the driver

            event.listen(db.engine, "do_connect", Pulse().connect)
            event.listen(db.engine, "handle_error", _forget_stale_plans)
            event.listen(db.engine, "checkin", _rest)
            event.listen(db.engine, "checkout", _make_ready)


def _postgresql(core: Settings) -> dict[str, Any]:
    """A bounded pool, and an end to whatever waits on a database that is slow, stopped or gone."""
    timeouts = {
        "statement_timeout": core.database_statement_seconds * 1000,
        "lock_timeout": _LOCK_SECONDS * 1000,
        # A process that was stopped in a transaction would hold its locks for ever.
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_SECONDS * 1000,
        # What a process asked for that has ended meanwhile, or given up, is not worked out.
        "client_connection_check_interval": _GONE_SECONDS * 1000,
    }
    return {
        "pool_size": core.database_pool_size,
        "max_overflow": 0,
        "pool_timeout": _POOL_SECONDS,
        "pool_recycle": 1800,
        "connect_args": {
            "connect_timeout": 3,
            "application_name": "trellis",
            "client_encoding": "utf8",  # else the database's own, which may be none
            "options": " ".join(f"-c {name}={ms:.0f}" for name, ms in timeouts.items()),
            # A peer that vanished without a word is noticed in seconds, not in hours.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    }


def _forget_stale_plans(context: ExceptionContext) -> None:
    """What connections have prepared does not fit any more after a migration: begin with others."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) == "0A000" and "cached plan" in str(error):
        context.is_disconnect = True


def _rest(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["trellis_rests_since"] = time.monotonic()


def _make_ready(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    try:
        # A compiled read leaves it on: to turn it off there would not do, as a task that runs out
        # of time ends anywhere.
        if connection.autocommit:
            connection.autocommit = False
        # Each time, it would cost a round trip. What is lost in use is repeated on a fresh
        # connection: one that is lost empties the pool.
        if time.monotonic() - record.info.get("trellis_rests_since", math.inf) > _REST_SECONDS:
            db.engine.dialect.do_ping(connection)
    except Exception as error:  # the driver's, which only PostgreSQL imports
        raise DisconnectionError from error


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    _keep_private(connection.execute("PRAGMA database_list").fetchone()[2])
    # The driver's implicit BEGIN is deferred: a transaction that reads first and writes later fails
    # at once with 'database is locked', whatever the time-out. Off with it; units begin by hand.
    connection.isolation_level = None
    # First, because switching to WAL needs the lock too when many processes start at once.
    connection.execute(_PATIENT)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten with zeros, where most builds would leave it in free pages.
    connection.execute("PRAGMA secure_delete = ON")


def _keep_private(file: str) -> None:
    """For its owner's eyes alone; a log takes its mode from the database when it is made."""
    for name in (file, f"{file}-wal", f"{file}-shm") if file else ():
        with suppress(OSError):  # it is not there, or somebody else's
            Path(name).chmod(0o600)


def _savepoint(text: str) -> Callable[[Connection, str], None]:
    return lambda connection, name: _send(connection, text.format(name))  # a name of SQLAlchemy's


def _send(connection: Connection, statement: str) -> None:
    try:
        connection.connection.cursor().execute(statement).close()
    except sqlite3.Error as error:
        connection._handle_dbapi_exception(error, statement, None, None, None)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("trellis_unit"):
        _wait_for_the_disk(connection, not options.get("trellis_lazy"))
        _take_the_lock(connection)


class _Waited(threading.local):
    seconds = 0.0


_waited = _Waited()


def lock_seconds() -> float:
    """For how long this thread has waited for SQLite's write lock so far."""
    return _waited.seconds


def _take_the_lock(connection: Connection) -> None:
    # SQLite's own waiting looks again after up to 100 ms: whoever writes one transaction after the
    # other has it in between for seconds, and no signal is heard meanwhile.
    began = time.monotonic()
    _send(connection, "PRAGMA busy_timeout = 0")
    try:
        while not _begun(connection, patient=time.monotonic() - began < SQLITE_BUSY_SECONDS):
            time.sleep(_LOOK_SECONDS)
    finally:
        _waited.seconds += time.monotonic() - began
        with suppress(DBAPIError):  # one that is lost
            _send(connection, _PATIENT)


def _begun(connection: Connection, *, patient: bool) -> bool:
    """Whether the transaction has begun; False when somebody else writes."""
    try:
        _send(connection, "BEGIN IMMEDIATE")
    except OperationalError as error:
        busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if not (busy and patient):
            raise
        return False
    return True


def _wait_for_the_disk(connection: Connection, wait: bool) -> None:
    # It cannot be said within a transaction. What is not waited for is on the disk with the next
    # commit that waits (one that gives positions in the feed does): the log is one file.
    if connection.info.get("trellis_waits", True) is not wait:
        _send(connection, f"PRAGMA synchronous = {'FULL' if wait else 'NORMAL'}")
        connection.info["trellis_waits"] = wait


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
            connection.exec_driver_sql(_PATIENT)
    if busy:
        raise TimeoutError("somebody reads pages of SQLite's log, so it cannot be emptied now")
