"""An erasure is complete when the bytes are gone, not only the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from trellis.db import fetch_value, new_id, utcnow
from trellis.feed.models import FeedEntry
from trellis.observe.audit import AuditEntry
from trellis.outbox.models import OutboxRow
from trellis.privacy import erasure, request_erasure
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.sqlite_only  # PostgreSQL's pages are its own matter


@pytest.fixture
def database(app: Flask) -> Path:
    path: Path = app.extensions["trellis"].settings.core.data_dir / "trellis.db"
    return path


@pytest.fixture
def person(app: Flask) -> UUID:
    """Somebody of whom the core holds rows in several tables."""
    person = new_id()
    with app.app_context(), unit_of_work() as uow:
        for number in range(50):
            uow.session.add(
                FeedEntry(
                    event_id=new_id(),
                    type="core.thing_done/1",
                    audience=f"user:{person}",
                    subject=person,
                    resource="thing",
                    resource_id=str(number),
                    operation="created",
                    payload={"user_id": str(person)},
                    created_at=utcnow(),
                )
            )
        uow.enqueue("core.purge_outbox", subject=person, delay=3600)
    return person


def on_the_disk(database: Path, person: UUID) -> set[str]:
    """The files of the database that hold the id in one of its forms."""
    forms = (str(person).encode(), person.hex.encode(), person.bytes)
    files = [*database.parent.glob("trellis.db*")]
    return {file.name for file in files if any(form in file.read_bytes() for form in forms)}


def test_what_was_deleted_is_neither_in_the_database_s_file_nor_in_its_log(
    app: Flask, person: UUID, database: Path, run_tasks: Callable[..., list[str]]
) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("PRAGMA wal_checkpoint(FULL)")
    assert on_the_disk(database, person) == {"trellis.db", "trellis.db-wal"}

    with app.app_context(), unit_of_work() as uow:
        erasure_id = request_erasure(uow, person)
    run_tasks()

    with app.app_context():
        assert erasure.state(erasure_id).completed_at is not None
    assert on_the_disk(database, person) == set()


def test_it_is_not_complete_while_somebody_reads_old_pages(
    app: Flask, person: UUID, database: Path, run_tasks: Callable[..., list[str]]
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as reader, app.app_context():
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM core_feed_entry").fetchall()
        with unit_of_work() as uow:
            erasure_id = request_erasure(uow, person)
        run_tasks(failures=True)

        assert all(part.completed_at for part in erasure.state(erasure_id).parts)
        assert erasure.state(erasure_id).completed_at is None
        waiting = select(OutboxRow.error).where(OutboxRow.task == "core.complete_erasure")
        assert "TimeoutError" in fetch_value(waiting)

        reader.execute("ROLLBACK")
        erasure.complete(erasure_id)
        erasure.complete(erasure_id)  # its task may run twice
        assert erasure.state(erasure_id).completed_at is not None
        done = select(AuditEntry.id).where(AuditEntry.action == "core.erasure_completed")
        assert fetch_value(done) is not None
    assert on_the_disk(database, person) == set()
