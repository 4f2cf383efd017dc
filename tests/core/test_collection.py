"""Parts of a collection: each stands or falls alone, whatever it was that failed in it."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from trellis.db import fetch_all, new_id, utcnow
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
    with collection(lambda _session: None):
        write()
        with pytest.raises(IntegrityError):
            write_twice(by=by)
        write()
    assert written() == 2


@pytest.mark.parametrize("by", ["flush", "statement"])
def test_a_part_cannot_pass_over_what_failed_in_it(app_context: None, by: str) -> None:
    with collection(lambda _session: None):
        write()
        with pytest.raises(RuntimeError, match="a part of this unit"):
            write_twice(by=by, swallow=True)
        write()
    assert written() == 2


def test_a_part_may_pass_over_what_failed_behind_a_savepoint_of_its_own(app_context: None) -> None:
    with collection(lambda _session: None), unit_of_work() as uow:
        for _ in range(2):
            with suppress(IntegrityError), uow.session.begin_nested():
                uow.session.execute(insert(Erasure), [{"id": TAKEN, "requested_at": utcnow()}])
    assert written() == 1
