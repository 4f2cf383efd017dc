"""Schedules and the sweep: what any number of scheduler processes do every few seconds.

Schedules need no leader: each scheduler inserts the due row under a unique key of task and due
time, and the database keeps one. The sweep wakes workers again for work whose wake-up was lost or
whose lease ran out.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import structlog
from croniter import croniter
from flask import Flask
from redis import RedisError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from trellis.db.clock import database_now
from trellis.db.faults import fault_of
from trellis.db.reads import fetch_value
from trellis.feed.sequencer import sequence
from trellis.jobs.broker import patient_client
from trellis.jobs.wake import MOST, wake_feed, wake_missing
from trellis.outbox.lease import runnable
from trellis.outbox.models import OutboxRow
from trellis.outbox.setback import after_setback
from trellis.plugin import Cron, Every
from trellis.runtime import runtime
from trellis.task import QUEUES
from trellis.unit_of_work import unit_of_work

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 2.0
# What was under way when the clock was set back may still commit times of before.
_UNSETTLED_SECONDS = 60.0
_UNKNOWN = datetime.max.replace(tzinfo=UTC)


class Scheduler:
    """One scheduler process's state: which rows it has inserted already."""

    def __init__(self) -> None:
        self._inserted: dict[Every | Cron, str] = {}
        self._now = _UNKNOWN
        self._back = timedelta()
        self._unsettled_until = 0.0

    def tick(self) -> None:
        """Insert what has come due and wake workers for what nobody runs."""
        before, self._now = self._now, fetch_value(select(database_now()))
        if self._now < before:
            self._back = timedelta() if before is _UNKNOWN else before - self._now
            self._unsettled_until = time.monotonic() + _UNSETTLED_SECONDS
        if time.monotonic() < self._unsettled_until:
            after_setback(self._back)
        self._insert_due(self._now)
        sweep()
        if sequence():
            wake_feed(runtime().redis)

    def _insert_due(self, now: datetime) -> None:
        for schedule in runtime().schedules:
            key = due_key(schedule, now)
            if self._inserted.get(schedule) == key:
                continue
            with unit_of_work() as uow:
                uow.enqueue(schedule.task, unique=key)
            self._inserted[schedule] = key


def due_key(schedule: Every | Cron, now: datetime) -> str:
    """The unique key of the row that is inserted for the newest due time."""
    return f"{schedule.task}@{last_due(schedule, now).isoformat()}"


def last_due(schedule: Every | Cron, now: datetime) -> datetime:
    """The newest due time that is not after ``now`` (UTC)."""
    if isinstance(schedule, Every):
        seconds = int(now.timestamp()) // schedule.interval * schedule.interval
        return datetime.fromtimestamp(seconds, UTC)
    due = croniter(schedule.expression, now).get_prev(datetime)
    # get_prev is strictly before: a time that is due this very second counts as well.
    return now.replace(second=0, microsecond=0) if croniter.match(schedule.expression, now) else due


def sweep() -> None:
    """Wake workers for every row that is due and under no lease."""
    for queue in QUEUES:
        rows = select(OutboxRow.id).where(runnable(queue)).limit(MOST).subquery()
        if due := fetch_value(select(func.count()).select_from(rows)):
            wake_missing(runtime().redis, queue, due)


def run_scheduler(app: Flask, stop: threading.Event) -> None:
    """Tick until ``stop`` is set. A tick that fails (Redis is away) does not end the process."""
    scheduler = Scheduler()
    with app.app_context():
        runtime().redis = patient_client(runtime().redis_url)
        while True:
            try:
                scheduler.tick()
            except RedisError as error:
                log.warning("broker_away", error=str(error))
            except Exception as error:
                fault = fault_of(error) if isinstance(error, SQLAlchemyError) else None
                if fault is None:
                    log.exception("scheduler_tick_failed")
                else:
                    log.warning("database_away", fault=fault.value, error=type(error).__name__)
            if stop.wait(SWEEP_SECONDS):
                return
