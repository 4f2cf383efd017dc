"""What must be there before a process serves: database, schema, and the right storage.

Asked once, in a process of its own: neither connections nor the storage's threads survive a fork,
and servers and workers fork.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import structlog
from flask import Flask
from redis import RedisError
from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from trellis.db.base import db
from trellis.db.installation import Installation
from trellis.errors import ServiceUnavailable, StartError
from trellis.keys import require_secret_keys
from trellis.runtime import runtime
from trellis.settings import Settings
from trellis.storage import core_storage
from trellis.storage.mark import ForeignStorage, settle
from trellis.storage.objects import reason

log = structlog.get_logger(__name__)

_PATIENCE = 10.0
"""Seconds for servers that start together with us; on a laptop nothing else is starting."""
_PAUSE = 0.25
_SCHEMA_PAUSE = 2.0
_ENDS = (signal.SIGINT, signal.SIGTERM)


def require_start(app: Flask, *, schema: bool = False) -> None:
    """Raise StartError unless this process may serve; with `schema`, wait until it is migrated.

    Without, a process whose schema is behind serves, and its readiness says so. A database that is
    half restored is served by nobody.
    """
    told = False
    while pending := _apart(app):
        if not told:
            log.warning("migrations_pending", owners=pending, remedy="trellis db upgrade")
            told = True
        if not schema:
            return
        time.sleep(_SCHEMA_PAUSE)


def require_database(app: Flask) -> None:
    """Raise StartError unless the database answers, soon, and holds any text."""
    with app.app_context():
        _await("database_url", "the database", _ask_database)
        if db.engine.dialect.name == "postgresql":
            with db.engine.connect() as connection:
                encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
            if encoding != "UTF8":
                raise StartError(
                    f"database_url: the database keeps text as {encoding}; give it one that was "
                    "made with ENCODING 'UTF8'."
                )


def require_storage() -> None:
    """Raise StartError unless the storage is the installation's; at first, make it so."""
    try:
        settle(core_storage())
    except ForeignStorage as fault:
        raise StartError(
            f"storage_url: {Settings.current().storage_url} is not the storage of this "
            f"installation, {fault}; correct TRELLIS_STORAGE_URL, or make it so with "
            "`trellis storage adopt`."
        ) from fault
    except ServiceUnavailable as fault:
        raise StartError(
            f"storage_url: the storage cannot be used ({reason(fault.__cause__ or fault)}); "
            "start it, or correct the TRELLIS_STORAGE_ settings."
        ) from fault


def _check(app: Flask) -> list[str]:
    """Whose migrations are pending; raises StartError."""
    from trellis.db import migrations  # Alembic is slow to import

    require_database(app)
    with app.app_context():
        try:
            _await("redis_url", "the broker", runtime().redis.ping)
        except StartError as fault:
            # Without it reads go on and work waits: a process that is restarted must not be lost.
            log.warning("started_without_broker", reason=str(fault))
        pending = [status.owner for status in migrations.status() if status.pending]
        with db.engine.connect() as connection:
            if migrations.CORE in pending:
                migrations.refuse_half_restored(connection)
            known = inspect(connection).has_table(Installation.__tablename__)
        if known:
            require_secret_keys()
            require_storage()
    return pending


def _ask_database() -> None:
    with db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _await(setting: str, part: str, question: Callable[[], object]) -> None:
    production = Settings.current().environment == "production"
    deadline = time.monotonic() + (_PATIENCE if production else 0)
    while True:
        try:
            question()
        except (SQLAlchemyError, RedisError, OSError) as fault:
            if time.monotonic() >= deadline:
                cause = getattr(fault, "orig", None) or fault
                raise StartError(
                    f"{setting}: {part} does not answer ({_reason(cause)}); "
                    f"start it, or correct TRELLIS_{setting.upper()}."
                ) from fault
            time.sleep(_PAUSE)
        else:
            return


def _reason(fault: BaseException) -> str:
    """The first line, which tells what happened."""
    return str(fault).strip().partition("\n")[0].strip(" .")


def _apart(app: Flask) -> list[str]:
    """What `_check` says in a process of its own, which ends with us."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(app, sender), daemon=True)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Between the fork and the first line below, a signal would leave the child without a parent.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    process.start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        sender.close()
        answer: list[str] | StartError = receiver.recv()
    except EOFError:  # it has told why
        sys.exit(1)
    finally:
        process.terminate()
        process.join()
        signal.signal(signal.SIGTERM, before)
    if isinstance(answer, StartError):
        raise answer
    return answer


def _answer(app: Flask, sender: Connection) -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    try:
        sender.send(_check(app))
    except StartError as fault:
        sender.send(fault)
