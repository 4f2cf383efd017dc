"""The database's clock is set back by an hour: work does not wait for it to come round again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from trellis.db import database_now, fetch_one, fetch_value
from trellis.jobs.schedule import Scheduler
from trellis.outbox import setback
from trellis.outbox.lease import LEASE_SECONDS, claim_abandoned, claim_any
from trellis.outbox.models import OutboxRow
from trellis.outbox.setback import after_setback
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app_context")

HOUR = 3600.0


def _noop() -> None:
    """Does nothing."""


def _made_an_hour_ahead(delay: float, **columns: Any) -> None:
    """What a row looks like when the clock was set back after it was written."""
    with unit_of_work() as uow:
        times = {"created_at": database_now(HOUR), "due_at": database_now(HOUR + delay), **columns}
        uow.session.execute(update(OutboxRow).values(times))


@pytest.fixture
def enqueued(app_context: None, declare_task: Any) -> None:
    name = declare_task(_noop)
    with unit_of_work() as uow:
        uow.enqueue(name)


@pytest.mark.usefixtures("enqueued")
def test_work_that_was_due_is_due() -> None:
    _made_an_hour_ahead(0)
    assert claim_any("light") is None
    Scheduler().tick()  # one that starts cannot know what was before
    held = claim_any("light")
    assert held is not None
    assert held.attempt == 1


@pytest.mark.usefixtures("enqueued")
def test_a_scheduler_notices_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler()
    scheduler.tick()
    monkeypatch.setattr(scheduler, "_unsettled_until", 0.0)  # the moments after its start are over
    _made_an_hour_ahead(0)
    scheduler.tick()
    assert claim_any("light") is None  # the clock goes on as it should
    monkeypatch.setattr(scheduler, "_now", scheduler._now + timedelta(hours=1))
    scheduler.tick()
    assert claim_any("light") is not None


@pytest.mark.usefixtures("enqueued")
def test_what_commits_times_of_before_a_moment_later_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler = Scheduler()
    scheduler.tick()
    monkeypatch.setattr(scheduler, "_now", scheduler._now + timedelta(hours=1))
    scheduler.tick()
    _made_an_hour_ahead(0)
    scheduler.tick()
    assert claim_any("light") is not None


@pytest.mark.usefixtures("enqueued")
def test_what_was_put_off_keeps_its_delay() -> None:
    _made_an_hour_ahead(60)
    after_setback()
    assert claim_any("light") is None
    row = fetch_one(OutboxRow.__table__.select())
    assert row is not None
    assert (row.due_at - row.created_at).total_seconds() == pytest.approx(60, abs=1)


@pytest.mark.usefixtures("enqueued")
def test_what_had_waited_for_most_of_its_delay_waits_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler = Scheduler()
    scheduler.tick()
    _made_an_hour_ahead(2, created_at=database_now(HOUR - 50))
    monkeypatch.setattr(scheduler, "_now", scheduler._now + timedelta(hours=1))
    scheduler.tick()
    row = fetch_one(OutboxRow.__table__.select())
    assert row is not None
    assert (row.due_at - row.created_at).total_seconds() == pytest.approx(52, abs=1)
    assert row.created_at < fetch_value(select(database_now(-40)))


@pytest.mark.usefixtures("enqueued")
def test_rows_beyond_a_batch_are_set_right_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setback, "_BATCH", 2)
    with unit_of_work() as uow:
        for _ in range(4):
            uow.enqueue("core._noop")
    _made_an_hour_ahead(0)
    after_setback()
    ahead = select(func.count()).where(OutboxRow.due_at > database_now())
    assert fetch_value(ahead) == 0


@pytest.mark.usefixtures("enqueued")
def test_a_lease_ends_in_time() -> None:
    assert claim_any("light") is not None
    with unit_of_work() as uow:
        end = database_now(HOUR + LEASE_SECONDS)
        uow.session.execute(update(OutboxRow).values(leased_until=end))
    assert claim_abandoned("light") is None
    after_setback()
    assert claim_abandoned("light") is not None


@pytest.mark.usefixtures("enqueued")
def test_a_lease_that_is_in_order_is_left_alone() -> None:
    assert claim_any("light") is not None
    after_setback()
    assert claim_abandoned("light") is None
