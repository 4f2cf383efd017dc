"""What an operator can see of durable work and do about it: list, show, retry, drop, statistics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, case, delete, func, or_, select, update

from trellis.db.clock import database_now
from trellis.db.reads import fetch_all, fetch_one
from trellis.errors import Conflict, NotFound
from trellis.jobs.wake import wake_missing
from trellis.observe.audit import record
from trellis.outbox.models import OutboxRow
from trellis.paging import Page, paginate
from trellis.runtime import runtime
from trellis.task import Queue
from trellis.unit_of_work import UnitOfWork, unit_of_work

State = Literal["waiting", "running", "done", "dead"]
STATES: tuple[State, ...] = ("waiting", "running", "done", "dead")


_now = select(database_now()).scalar_subquery()
_open = and_(OutboxRow.done_at.is_(None), OutboxRow.dead_at.is_(None))
_leased = and_(OutboxRow.leased_until.is_not(None), OutboxRow.leased_until >= _now)
_not_leased = or_(OutboxRow.leased_until.is_(None), OutboxRow.leased_until < _now)
_IN: dict[State, ColumnElement[bool]] = {
    "waiting": and_(_open, _not_leased),
    "running": and_(_open, _leased),
    "done": OutboxRow.done_at.is_not(None),
    "dead": OutboxRow.dead_at.is_not(None),
}
_state = case(
    (OutboxRow.done_at.is_not(None), "done"),
    (OutboxRow.dead_at.is_not(None), "dead"),
    (_leased, "running"),
    else_="waiting",
).label("state")
_LISTED = select(
    OutboxRow.id,
    OutboxRow.task,
    OutboxRow.queue,
    OutboxRow.priority,
    _state,
    OutboxRow.attempts,
    OutboxRow.created_at,
    OutboxRow.due_at,
    OutboxRow.done_at,
    OutboxRow.dead_at,
    OutboxRow.error,
)
_SHOWN = _LISTED.add_columns(OutboxRow.arguments, OutboxRow.unique_key)


@dataclass(frozen=True)
class TaskStatistics:
    """What the queue holds of one task."""

    task: str
    queue: Queue
    waiting: int
    """Due, and run by nobody."""
    delayed: int
    """Due later."""
    running: int
    failing: int
    """Open, with a failed attempt behind it."""
    dead: int
    oldest_seconds: float
    """How long the oldest of `waiting` has been due."""


def list_jobs(
    *,
    state: State | None = None,
    task: str | None = None,
    queue: Queue | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> Page[Row[Any]]:
    """A page of jobs, the newest first, without their arguments."""
    statement = _LISTED
    if state is not None:
        statement = statement.where(_IN[state])
    if task is not None:
        statement = statement.where(OutboxRow.task == task)
    if queue is not None:
        statement = statement.where(OutboxRow.queue == queue)
    return paginate(statement, OutboxRow.id.desc(), cursor=cursor, limit=limit)


def get_job(job_id: UUID) -> Row[Any]:
    """One job with its arguments, which may concern a person. Raises `NotFound`."""
    row = fetch_one(_SHOWN.where(OutboxRow.id == job_id))
    if row is None:
        raise NotFound
    return row


def retry_job(job_id: UUID) -> None:
    """Have a dead or waiting job run now, with all its attempts before it again.

    Raises `NotFound`, and `Conflict` for one that is running or done.
    """
    with unit_of_work() as uow:
        row = _of_states(uow, job_id, "dead", "waiting")
        _revive(uow, OutboxRow.id == job_id)
        record(uow, "core.job_retried", subject=row.subject, job=str(job_id), task=row.task)


def retry_dead(task: str) -> int:
    """Have all dead jobs of a task run again; returns how many there are."""
    with unit_of_work() as uow:
        count = _revive(uow, OutboxRow.task == task, _IN["dead"])
        record(uow, "core.jobs_retried", task=task, count=count)
    return count


def drop_job(job_id: UUID) -> None:
    """Forget a job. Of one that is running no effect in the database is kept.

    Raises `NotFound`, and `Conflict` for one that is done.
    """
    with unit_of_work() as uow:
        row = _of_states(uow, job_id, "dead", "waiting", "running")
        uow.session.execute(delete(OutboxRow).where(OutboxRow.id == job_id))
        record(uow, "core.job_dropped", subject=row.subject, job=str(job_id), task=row.task)


def drop_dead(task: str) -> int:
    """Forget all dead jobs of a task; returns how many there were."""
    with unit_of_work() as uow:
        dropped = uow.session.execute(
            delete(OutboxRow)
            .where(OutboxRow.task == task, _IN["dead"])
            .execution_options(synchronize_session=False)
        )
        count: int = dropped.rowcount  # type: ignore[attr-defined]
        record(uow, "core.jobs_dropped", task=task, count=count)
    return count


def statistics() -> list[TaskStatistics]:
    """Figures of each task that has work which is not done."""
    waiting = and_(_IN["waiting"], OutboxRow.due_at <= _now)
    age = func.min(case((waiting, OutboxRow.due_at)))
    rows = fetch_all(
        select(
            OutboxRow.task,
            OutboxRow.queue,
            _count(waiting).label("waiting"),
            _count(and_(_IN["waiting"], OutboxRow.due_at > _now)).label("delayed"),
            _count(_IN["running"]).label("running"),
            _count(and_(_open, OutboxRow.error.is_not(None))).label("failing"),
            _count(_IN["dead"]).label("dead"),
            age.label("oldest"),
            database_now().label("now"),
        )
        .where(OutboxRow.done_at.is_(None))
        .group_by(OutboxRow.task, OutboxRow.queue)
        .order_by(OutboxRow.task)
    )
    return [
        TaskStatistics(
            row.task,
            row.queue,
            row.waiting,
            row.delayed,
            row.running,
            row.failing,
            row.dead,
            0.0 if row.oldest is None else (row.now - row.oldest).total_seconds(),
        )
        for row in rows
    ]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _of_states(uow: UnitOfWork, job_id: UUID, *states: State) -> Row[Any]:
    row = uow.session.execute(
        select(OutboxRow.task, OutboxRow.subject, _state)
        .where(OutboxRow.id == job_id)
        .with_for_update()
    ).first()
    if row is None:
        raise NotFound
    if row.state not in states:
        raise Conflict(f"The job is {row.state}.")
    return row


def _revive(uow: UnitOfWork, *which: ColumnElement[bool]) -> int:
    revived = uow.session.execute(
        update(OutboxRow)
        .where(*which)
        .values(dead_at=None, due_at=database_now(), attempts=0, begun_at=None, leased_until=None)
        .returning(OutboxRow.queue)
        .execution_options(synchronize_session=False)
    ).all()
    due = Counter(row.queue for row in revived)
    uow.after_commit(lambda: _wake(due))
    return len(revived)


def _wake(due: Counter[Queue]) -> None:
    redis = runtime().redis
    for queue, count in due.items():
        wake_missing(redis, queue, count)
