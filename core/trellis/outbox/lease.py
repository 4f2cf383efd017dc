"""The life of an outbox row: claimed under a lease, then done, postponed or given up.

Every change of a row that is under way names the fence of its lease. A worker whose lease ran out
changes nothing, because somebody else's claim has counted the fence up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Update, and_, or_, select, update

from trellis.db.clock import database_now
from trellis.outbox.models import OutboxRow
from trellis.runtime import runtime
from trellis.unit_of_work import UnitOfWork, unit_of_work

LEASE_SECONDS = 10.0
"""How long a claim holds; its holder renews it while it works (`renew`)."""


class LeaseLostError(Exception):
    """The lease ran out and somebody else has the row: the work of this holder must not count."""


@dataclass(frozen=True)
class Claim:
    """A row that this process may run. ``fence`` is also the number of the attempt, from 1."""

    id: UUID
    task: str
    arguments: Mapping[str, Any]
    fence: int


def runnable(queue: str) -> ColumnElement[bool]:
    """Rows of a queue that are due and under no lease.

    Work of a plugin that is not loaded waits: it is not runnable here.
    """
    return and_(
        OutboxRow.queue == queue,
        OutboxRow.done_at.is_(None),
        OutboxRow.dead_at.is_(None),
        OutboxRow.due_at <= database_now(),
        or_(OutboxRow.leased_until.is_(None), OutboxRow.leased_until < database_now()),
        OutboxRow.task.in_(runtime().tasks),
    )


def claim(queue: str, limit: int, *which: ColumnElement[bool]) -> list[Claim]:
    """Take up to ``limit`` rows of a queue that are due, the oldest first."""
    due = (
        select(OutboxRow.id)
        .where(runnable(queue), *which)
        .order_by(OutboxRow.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte()  # PostgreSQL may run a subquery once for each row, and so claim more than `limit`
    )
    with unit_of_work() as uow:
        rows = uow.session.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_(select(due.c.id)))
            .values(fence=OutboxRow.fence + 1, leased_until=database_now(LEASE_SECONDS))
            .returning(OutboxRow.id, OutboxRow.task, OutboxRow.arguments, OutboxRow.fence)
            .execution_options(synchronize_session=False)
        ).all()
    return sorted((Claim(*row) for row in rows), key=lambda c: c.id)


def renew(claims: list[Claim]) -> None:
    """Hold the leases of rows that are still under way for another `LEASE_SECONDS`."""
    with unit_of_work() as uow:
        for held in claims:
            uow.session.execute(_held(held).values(leased_until=database_now(LEASE_SECONDS)))


def complete(uow: UnitOfWork, held: Claim) -> None:
    """Mark the row done in the transaction of the task's own effects. Raises `LeaseLostError`."""
    result = uow.session.execute(_held(held).values(done_at=database_now(), leased_until=None))
    if not _changed(result):
        raise LeaseLostError(held.task)


def postpone(held: Claim, seconds: float, error: str, *, counted: bool = True) -> None:
    """Give the row back, due again in ``seconds``; the attempt counts unless it was no fault."""
    fence = held.fence if counted else held.fence - 1
    _write(held, due_at=database_now(seconds), leased_until=None, error=error, fence=fence)


def give_up(held: Claim, error: str) -> None:
    """Put the row among the dead letters, with the reason."""
    _write(held, dead_at=database_now(), leased_until=None, error=error)


def release(held: Claim) -> None:
    """Give back a row that was claimed and not begun; the attempt does not count."""
    _write(held, fence=held.fence - 1, leased_until=None)


def _write(held: Claim, **values: Any) -> None:
    with unit_of_work() as uow:
        uow.session.execute(_held(held).values(**values))


def _held(held: Claim) -> Update:
    return (
        update(OutboxRow)
        .where(OutboxRow.id == held.id, OutboxRow.fence == held.fence, OutboxRow.done_at.is_(None))
        .execution_options(synchronize_session=False)
    )


def _changed(result: Any) -> bool:
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
