"""A change, its events and its work commit together, and nothing leaves before the commit."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

from trellis.db import fetch_all, fetch_value, new_id, utcnow
from trellis.db.transaction import begun_transaction
from trellis.errors import CommittedRefusal
from trellis.events import Event
from trellis.feed.models import FeedEntry
from trellis.outbox.models import OutboxRow
from trellis.privacy.models import Erasure
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work


class Remembered(CommittedRefusal):
    """A refusal that must be remembered."""

    code = "core.remembered"
    status = 403


@dataclass(frozen=True)
class NoteWritten(Event):
    """An event of these tests."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Any] = "created"
    note_id: UUID
    text: str = ""

    def resource_id(self) -> str:
        return str(self.note_id)


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[NoteWritten] = "core.note_written/1"
    return runtime


def _row() -> Erasure:
    return Erasure(id=new_id(), subject=new_id(), requested_at=utcnow())


def _counts() -> tuple[int, int, int]:
    return (
        fetch_value(select(func.count()).select_from(Erasure)),
        fetch_value(select(func.count()).select_from(FeedEntry)),
        fetch_value(select(func.count()).select_from(OutboxRow)),
    )


def _noop() -> None:
    """Does nothing."""


def test_row_event_and_work_commit_together(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    name = declare_task(_noop)
    with unit_of_work() as uow:
        uow.session.add(_row())
        uow.publish(NoteWritten(new_id()))
        uow.enqueue(name)
    assert _counts() == (1, 1, 1)


def test_an_exception_leaves_nothing_and_tells_nobody(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    name = declare_task(_noop)
    told: list[str] = []
    with pytest.raises(ZeroDivisionError), unit_of_work() as uow:
        uow.session.add(_row())
        uow.publish(NoteWritten(new_id()))
        uow.enqueue(name)
        uow.after_commit(lambda: told.append("told"))
        uow.session.flush()
        raise ZeroDivisionError
    assert _counts() == (0, 0, 0)
    assert told == []
    assert runtime.redis.keys() == []


def test_nothing_leaves_the_process_before_the_commit(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    name = declare_task(_noop)
    told: list[str] = []
    with unit_of_work() as uow:
        uow.enqueue(name)
        uow.after_commit(lambda: told.append("told"))
        uow.session.flush()
        assert told == []
        assert runtime.redis.keys() == []
    assert told == ["told"]
    runtime.announcer.settle()
    assert runtime.redis.llen("rq:queue:trellis-light") == 1


def test_an_inner_unit_joins_the_outer_one(app_context: None) -> None:
    with pytest.raises(ZeroDivisionError), unit_of_work() as outer:
        with unit_of_work() as inner:
            inner.session.add(_row())
        assert inner is outer
        raise ZeroDivisionError
    assert _counts()[0] == 0


def test_an_inner_unit_that_failed_takes_the_outer_one_with_it(app_context: None) -> None:
    with pytest.raises(RuntimeError, match="a part of this unit"), unit_of_work() as uow:
        uow.session.add(_row())
        with pytest.raises(ZeroDivisionError), unit_of_work():
            raise ZeroDivisionError
    assert _counts()[0] == 0


def test_a_committed_refusal_commits_what_was_written_and_is_raised(app_context: None) -> None:
    with pytest.raises(Remembered), unit_of_work(), unit_of_work() as uow:
        uow.session.add(_row())
        raise Remembered
    assert _counts()[0] == 1


@pytest.mark.usefixtures("app_environ")
def test_a_committed_refusal_survives_the_death_of_the_process(app: Flask) -> None:
    program = """
import os, signal
from trellis.app import create_app
from trellis.db import new_id, utcnow
from trellis.unit_of_work import unit_of_work
from trellis.errors import CommittedRefusal
from trellis.privacy.models import Erasure

with create_app().app_context():
    try:
        with unit_of_work() as uow:
            uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))
            raise CommittedRefusal
    except CommittedRefusal:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -9
    with app.app_context():
        assert _counts()[0] == 1


def test_a_callback_that_fails_does_not_undo_the_commit(app_context: None) -> None:
    told: list[str] = []
    with unit_of_work() as uow:
        uow.session.add(_row())
        uow.after_commit(lambda: told[1])  # type: ignore[arg-type]
        uow.after_commit(lambda: told.append("told"))
    assert _counts()[0] == 1
    assert told == ["told"]


def test_a_unit_that_lost_its_connection_leaves_no_trace(app_context: None) -> None:
    with pytest.raises(ZeroDivisionError), unit_of_work() as uow:
        uow.session.add(_row())
        uow.session.flush()
        raw_connection = uow.session.connection().connection.driver_connection
        assert raw_connection is not None
        raw_connection.close()
        raise ZeroDivisionError
    assert begun_transaction() is None
    with unit_of_work() as uow:
        uow.session.add(_row())
    assert begun_transaction() is None
    assert _counts()[0] == 1


@pytest.mark.parametrize("savepoint", [False, True])
def test_a_failed_statement_needs_a_savepoint_to_be_passed_over(
    app_context: None, savepoint: bool
) -> None:
    person = new_id()
    write = insert(Erasure).values(id=person, requested_at=utcnow())
    cannot = pytest.raises(RuntimeError, match="a part of this unit")
    with nullcontext() if savepoint else cannot, unit_of_work() as uow:
        uow.session.execute(write)
        around = uow.session.begin_nested() if savepoint else nullcontext()
        with suppress(IntegrityError), around:
            uow.session.execute(write)
    assert _counts()[0] == (1 if savepoint else 0)


def test_reads_inside_a_unit_see_its_own_writes(app_context: None) -> None:
    with unit_of_work() as uow:
        uow.session.add(_row())
        assert _counts()[0] == 1


def test_a_unit_that_does_nothing_begins_no_transaction(app_context: None) -> None:
    with unit_of_work() as outer:
        fetch_all(select(Erasure.id))
        with unit_of_work() as other_writer:
            assert other_writer is outer
    assert outer._transaction is None


@pytest.mark.parametrize("argument", [object(), {1, 2}, b"bytes", UUID(int=1)])
def test_work_takes_json_arguments_only(
    app_context: None, declare_task: Any, argument: object
) -> None:
    name = declare_task(_noop)
    with pytest.raises(TypeError), unit_of_work() as uow:
        uow.enqueue(name, argument=argument)


def test_work_and_events_take_all_that_json_can_say(
    app_context: None, declare_task: Any, runtime: Runtime
) -> None:
    """A zero and half of a pair are refused by PostgreSQL's text, and not by its JSON."""
    said = {"text": '\0 \ud800 "quoted" \\ \U0001f600', "number": 1.5, "nothing": None}
    with unit_of_work() as uow:
        uow.enqueue(declare_task(_noop), said=said)
        uow.publish(NoteWritten(new_id(), "\0 \ud800"))
        uow.publish(NoteWritten(new_id(), "second"))
    assert fetch_value(select(OutboxRow.arguments)) == {"said": said}
    rows = fetch_all(select(FeedEntry.payload).order_by(FeedEntry.entry))
    assert [row.payload["text"] for row in rows] == ["\0 \ud800", "second"]


def test_unknown_tasks_and_events_are_refused(app_context: None) -> None:
    @dataclass(frozen=True)
    class Stray(NoteWritten):
        """Nobody publishes it."""

    with pytest.raises(LookupError, match=r"core\.nonsense"), unit_of_work() as uow:
        uow.enqueue("core.nonsense")
    with pytest.raises(LookupError, match="Stray"), unit_of_work() as uow:
        uow.publish(Stray(new_id()))


def test_of_one_unique_key_one_row_is_kept(app_context: None, declare_task: Any) -> None:
    name = declare_task(_noop)
    for _ in range(2):
        with unit_of_work() as uow:
            uow.enqueue(name, unique="once")
            uow.enqueue(name, unique="once")
    assert _counts()[2] == 1


@pytest.mark.usefixtures("app_environ")
def test_four_processes_that_write_at_once_meet_no_locked_database(app: Flask) -> None:
    program = """
from sqlalchemy import select
from trellis.app import create_app
from trellis.db import fetch_all, new_id, utcnow
from trellis.unit_of_work import unit_of_work
from trellis.privacy.models import Erasure

with create_app().app_context():
    for _ in range(40):
        with unit_of_work() as uow:
            uow.session.execute(select(Erasure.id).limit(1)).all()
            uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))
        fetch_all(select(Erasure.id).limit(1))
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0], errors
    with app.app_context():
        assert _counts()[0] == 160


@pytest.mark.sqlite_only
def test_sqlite_commits_are_durable(app_context: None) -> None:
    with unit_of_work() as uow:
        assert uow.session.scalar(text("PRAGMA synchronous")) == 2
        assert uow.session.scalar(text("PRAGMA journal_mode")) == "wal"
