"""Parts of a collection: each stands or falls alone, whatever it was that failed in it."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from trellis.db import fetch_all, new_id, utcnow
from trellis.outbox.models import OutboxRow
from trellis.privacy.models import Erasure
from trellis.unit_of_work import collection, unit_of_work

TAKEN = new_id()


def write() -> None:
    """A part that succeeds."""
    with unit_of_work() as uow:
        uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))
        uow.session.flush()


def write_twice(*, by: str, swallow: bool = False) -> None:
    """A part that fails in the session's flush, or in a statement."""
    with unit_of_work() as uow:
        for _ in range(2):
            with suppress(IntegrityError) if swallow else nullcontext():
                if by == "flush":
                    uow.session.add(Erasure(id=TAKEN, requested_at=utcnow()))
                    uow.session.flush()
                    uow.session.expunge_all()
                else:
                    row = {"id": TAKEN, "requested_at": utcnow()}
                    uow.session.execute(insert(Erasure), [row])


def written() -> int:
    return len(fetch_all(select(Erasure.id)))


@pytest.mark.parametrize("by", ["flush", "statement"])
def test_a_part_that_fails_says_why_and_takes_nobody_with_it(app_context: None, by: str) -> None:
    with collection(lambda: None):
        write()
        with pytest.raises(IntegrityError):
            write_twice(by=by)
        write()
    assert written() == 2


@pytest.mark.parametrize("by", ["flush", "statement"])
def test_a_part_cannot_pass_over_what_failed_in_it(app_context: None, by: str) -> None:
    with collection(lambda: None):
        write()
        with pytest.raises(RuntimeError, match="a part of this unit"):
            write_twice(by=by, swallow=True)
        write()
    assert written() == 2


def test_a_part_may_pass_over_what_failed_behind_a_savepoint_of_its_own(app_context: None) -> None:
    with collection(lambda: None), unit_of_work() as uow:
        for _ in range(2):
            with suppress(IntegrityError), uow.session.begin_nested():
                uow.session.execute(insert(Erasure), [{"id": TAKEN, "requested_at": utcnow()}])
    assert written() == 1


def test_the_next_part_begins_anew_after_one_that_failed_first(app_context: None) -> None:
    begun: list[None] = []
    with collection(lambda: begun.append(None)) as whole:
        with pytest.raises(IntegrityError):
            write_twice(by="statement")
        assert whole.has_begun
        assert fetch_all(select(Erasure.id)) == []
        write()
        write()
    assert (len(begun), written()) == (2, 2)


def test_who_catches_what_the_beginning_refused_writes_nothing(app_context: None) -> None:
    def refuse() -> None:
        raise ZeroDivisionError

    with collection(refuse):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                write()
    assert written() == 0


def test_each_part_has_a_session_of_its_own(app_context: None) -> None:
    with collection(lambda: None):
        sessions = []
        for _ in range(2):
            with unit_of_work() as uow:
                uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))
                sessions.append(uow.session)
    assert sessions[0] is not sessions[1]
    assert written() == 2


def test_events_of_a_part_that_wrote_nothing_outlive_the_next_that_fails(
    app_context: None, declare_task: Any
) -> None:
    name = declare_task(write)
    with collection(lambda: None):
        with unit_of_work() as uow:
            uow.enqueue(name)
        with pytest.raises(IntegrityError):
            write_twice(by="statement")
    assert [row.task for row in fetch_all(select(OutboxRow.task))] == [name]


def test_a_part_that_is_interrupted_where_it_begins_takes_nobody_with_it(
    app_context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the signal of a time limit; what others of the collection wrote is told, and stays."""

    def interrupted(self: Connection) -> Any:
        begin_nested(self)
        raise KeyboardInterrupt

    begin_nested = Connection.begin_nested
    told: list[int] = []
    with collection(lambda: None):
        with unit_of_work() as uow:
            uow.session.add(Erasure(id=new_id(), requested_at=utcnow()))
            uow.after_commit(lambda: told.append(written()))
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "begin_nested", interrupted)
            with pytest.raises(KeyboardInterrupt):
                write()
        write()
    assert told == [written()] == [2]


def test_a_part_that_is_interrupted_before_its_block_breaks_no_other_when_it_is_collected(
    app_context: None,
) -> None:
    """Between the entering of its ``with`` and the first line a signal may fall as anywhere."""
    with collection(lambda: None):
        with pytest.raises(KeyboardInterrupt), unit_of_work():
            interrupted = unit_of_work()
            interrupted.__enter__()
            raise KeyboardInterrupt
        del interrupted
        write()
    assert written() == 1
