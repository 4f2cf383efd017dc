"""Schedules: due times in UTC, and one row for each however many schedulers there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from trellis.db import database_now
from trellis.jobs.schedule import Scheduler, last_due
from trellis.outbox.models import OutboxRow
from trellis.outbox.tasks import purge_outbox
from trellis.plugin import Cron, Every
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work

moments = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def _noop() -> None:
    """Does nothing."""


@settings(deadline=None)
@given(moments, st.integers(1, 100_000))
def test_an_interval_is_due_at_its_multiples(now: datetime, seconds: int) -> None:
    due = last_due(Every("core.x", seconds=seconds), now)
    assert due.timestamp() % seconds == 0
    assert timedelta(0) <= now - due < timedelta(seconds=seconds)


@settings(deadline=None)
@given(moments)
def test_a_cron_expression_is_due_at_its_minutes(now: datetime) -> None:
    due = last_due(Cron("core.x", "17 3 * * *"), now)
    assert (due.hour, due.minute, due.second, due.microsecond) == (3, 17, 0, 0)
    assert timedelta(0) <= now - due < timedelta(days=1)


def test_a_cron_time_is_due_in_its_own_second() -> None:
    moment = datetime(2026, 3, 29, 3, 17, tzinfo=UTC)
    assert last_due(Cron("core.x", "17 3 * * *"), moment) == moment


def test_many_schedulers_make_one_row(app: Flask, declare_task: Any, outbox: Any) -> None:
    runtime: Runtime = app.extensions["trellis"]
    name = declare_task(_noop)
    schedule = Every(name, hours=1000)
    runtime.schedules.append(schedule)

    def tick(scheduler: Scheduler) -> None:
        with app.app_context():
            scheduler.tick()

    try:
        schedulers = [Scheduler() for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            for _ in range(2):
                list(pool.map(tick, schedulers))
    finally:
        runtime.schedules.remove(schedule)
    assert outbox().count(name) == 1


def test_a_rare_schedule_is_not_repeated_after_its_row_is_forgotten(
    app: Flask, app_context: None, declare_task: Any, run_tasks: Any
) -> None:
    runtime: Runtime = app.extensions["trellis"]
    name = declare_task(_noop)
    schedule = Cron(name, "0 0 1 1 *")
    runtime.schedules.append(schedule)
    try:
        Scheduler().tick()
        assert name in run_tasks()
        with unit_of_work() as uow:
            uow.session.execute(update(OutboxRow).values(done_at=database_now(-48 * 3600)))
        purge_outbox()
        Scheduler().tick()
        assert name not in run_tasks()
    finally:
        runtime.schedules.remove(schedule)
