"""Is a set what it says: loaded into a scratch database, looked at there, every object read."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from alembic.util import CommandError
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from trellis.db import migrations
from trellis.db.base import db
from trellis_backup import loading, objects, revisions
from trellis_backup.errors import BackupError
from trellis_backup.inventory import Inventory
from trellis_backup.manifest import Manifest
from trellis_backup.target import Target

Report = Iterator[tuple[str, str | None]]
"""What was looked at, and what is wrong with it."""


def verify(target: Target, found: Manifest, scratch_url: str | None = None) -> Report:
    """Look at everything; the scratch database is gone afterwards, unless it was given."""
    yield from _database(target, found, scratch_url)
    yield from _objects(target, found)


def _database(target: Target, found: Manifest, scratch_url: str | None) -> Report:
    rows = sum(table.rows for table in found.tables)
    steps: dict[str, Callable[[Connection], None]] = {
        "the migrations of the set": lambda scratch: revisions.build(scratch, found.revisions),
        f"{rows} rows in {len(found.tables)} tables": lambda scratch: loading.load(
            scratch, target, found
        ),
        "references between rows": _references,
        "the migrations since": lambda scratch: revisions.build(scratch, _heads()),
    }
    with _scratch(scratch_url) as connection:
        for what, step in steps.items():
            try:
                step(connection)
                connection.commit()
            except (BackupError, CommandError, DBAPIError) as error:
                connection.rollback()
                yield what, str(getattr(error, "orig", None) or error)
                return
            yield what, None


def _objects(target: Target, found: Manifest) -> Report:
    """Read each content once, however many objects have it."""
    broken = 0
    with Inventory() as inventory:
        try:
            for kept in objects.listed(target, found):
                inventory.add(kept)
        except BackupError as error:
            yield "the list of objects", str(error)
            return
        for kept, sharing in inventory.contents():
            try:
                deque(objects.content(target, kept), maxlen=0)
            except BackupError as error:
                broken += sharing
                more = f" and {sharing - 1} more" if sharing > 1 else ""
                yield f"{kept.key}{more}", str(error)
        count, _ = inventory.totals()
    wrong = None if count == found.objects.count else f"the manifest tells of {found.objects.count}"
    if broken:
        wrong = f"{broken} of them broken"
    yield f"{count} objects", wrong


def _heads() -> dict[str, str]:
    return dict.fromkeys(migrations.owners(), "head")


def _references(connection: Connection) -> None:
    """PostgreSQL has looked while the rows came in."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise BackupError(f"{len(broken)} rows refer to none, the first is in {broken[0][0]}")


@contextmanager
def _scratch(url: str | None) -> Iterator[Connection]:
    if url is not None:
        with _connected(make_url(url)) as connection:
            yield connection
    elif db.engine.dialect.name == "sqlite":
        directory = Path(tempfile.mkdtemp(prefix="trellis-verify-"))
        try:
            with _connected(URL.create("sqlite", database=str(directory / "scratch.db"))) as made:
                yield made
        finally:
            shutil.rmtree(directory)
    else:
        with _scratch_database() as made_url, _connected(made_url) as connection:
            yield connection


@contextmanager
def _scratch_database() -> Iterator[URL]:
    name = f"trellis_verify_{token_hex(4)}"
    with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as server:
        try:
            server.exec_driver_sql(f"CREATE DATABASE {name}")
        except DBAPIError as error:
            raise BackupError(
                f"no scratch database can be made ({error.orig}): give one with --scratch."
            ) from error
        try:
            yield db.engine.url.set(database=name)
        finally:
            server.exec_driver_sql(f"DROP DATABASE {name}")


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
