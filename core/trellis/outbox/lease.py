"""The life of an outbox row: claimed under a lease, then done, handed back or given up.

Every change of a row that is under way names the fence of its lease. A worker whose lease ran out
changes nothing, because somebody else's claim has counted the fence up.

Nothing here waits for the disk. What a database that crashes forgets of it happens once more: the
row is claimed again, and 'done' is lost together with the effects in its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Text,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)

from trellis.db.base import db
from trellis.db.clock import database_now
from trellis.db.commits import lazy_commit
from trellis.db.transaction import alone
from trellis.outbox.models import outbox
from trellis.runtime import runtime
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_statements.compiled import Compiled, Found

LEASE_SECONDS = 10.0
"""How long a claim holds; its holder renews it while it works (`renew`)."""

Which = Literal["fresh", "abandoned", "any"]


class LeaseLostError(Exception):
    """The lease ran out and somebody else has the row: the work of this holder must not count."""


@dataclass(frozen=True)
class Claim:
    """A row that this process may run. ``attempt`` counts from 1; ``fence`` names the lease."""

    id: UUID
    task: str
    arguments: Mapping[str, Any]
    fence: int
    attempt: int
    age: float
    """Seconds since it was first claimed."""


def runnable(queue: str) -> ColumnElement[bool]:
    """Rows of a queue that are due and under no lease.

    Work of a plugin that is not loaded waits: it is not runnable here.
    """
    return and_(
        *_runnable("any"), outbox.c.queue == queue, outbox.c.task.in_(list(runtime().tasks))
    )


def claim_fresh(queue: str, limit: int, first: int | None = None) -> list[Claim]:
    """Take up to ``limit`` due rows that are new or were handed back, by priority and due time.

    With ``first``, rows of that priority alone, when there are any. They may be run in a row by one
    process: when it dies, none of them counts as attempted.
    """
    return _claim("fresh", queue, limit, first)


def claim_abandoned(queue: str) -> Claim | None:
    """Take a row whose holder vanished; the attempt counts from now on.

    To be run by itself: it may be what ended its holder, and would take its neighbours with it.
    """
    found = _claim("abandoned", queue, 1)
    return found[0] if found else None


def claim_any(queue: str, first: int | None = None) -> Claim | None:
    """Take the next due row for a process of its own; the attempt counts from now on."""
    found = _claim("any", queue, 1, first)
    return found[0] if found else None


def _claim(which: Which, queue: str, limit: int, first: int | None = None) -> list[Claim]:
    tasks = tuple(runtime().tasks)
    parameters: dict[str, Any] = {"of_queue": queue, "at_most": limit}
    rows: Sequence[Found] = ()
    if first is not None:
        rows = _take(_claiming(which, tasks, True), {**parameters, "of_priority": first})
    rows = rows or _take(_claiming(which, tasks, False), parameters)
    return [_claim_of(row) for row in sorted(rows, key=lambda row: (row.priority, row.due_at))]


def _take(claiming: Compiled, parameters: Mapping[str, Any]) -> Sequence[Found]:
    """A claim is one statement, and so a transaction by itself on PostgreSQL.

    BEGIN and COMMIT around it would be two round trips more for every task that comes alone.
    """
    if db.engine.dialect.name == "postgresql":
        return alone(claiming, parameters)
    with unit_of_work(synchronous=False) as uow:
        return uow.execute(claiming, **parameters)


def _claim_of(row: Found) -> Claim:
    age = (row.leased_until - row.begun_at).total_seconds() - LEASE_SECONDS
    return Claim(row.id, row.task, row.arguments, row.fence, row.attempt, age)


@lru_cache(16)
def _claiming(which: Which, tasks: Sequence[str], of_one_priority: bool) -> Compiled:
    conditions = [
        *_runnable(which),
        outbox.c.queue == bindparam("of_queue"),
        outbox.c.task.in_(tasks),
    ]
    if of_one_priority:
        conditions.append(outbox.c.priority == bindparam("of_priority"))
    # The one that was left longest ago has an index of its own: few rows are under a lease.
    left = [outbox.c.leased_until] if which == "abandoned" else []
    order = left or [outbox.c.priority, outbox.c.due_at]
    due = (
        select(outbox.c.id)
        .where(*conditions)
        .order_by(*order)
        .limit(bindparam("at_most"))
        .with_for_update(skip_locked=True)
        .cte()  # PostgreSQL may run a subquery once for each row, and so claim more than `limit`
    )
    counted = 0 if which == "fresh" else 1
    return Compiled(
        update(outbox)
        .where(outbox.c.id.in_(select(due.c.id)))
        .values(
            fence=outbox.c.fence + 1,
            attempts=outbox.c.attempts + counted,
            begun_at=func.coalesce(outbox.c.begun_at, database_now()),
            leased_until=database_now(LEASE_SECONDS),
        )
        .returning(
            *(outbox.c[name] for name in ("id", "task", "arguments", "fence", "priority")),
            *(outbox.c[name] for name in ("due_at", "begun_at", "leased_until")),
            (outbox.c.attempts + (1 - counted)).label("attempt"),
            lazy_commit(),
        )
    )


def _runnable(which: Which) -> list[ColumnElement[bool]]:
    # A subquery is read once; the clock itself, once for each row, and no index would help.
    now = select(database_now()).scalar_subquery()
    leases = {
        "fresh": outbox.c.leased_until.is_(None),
        "abandoned": outbox.c.leased_until < now,
        "any": or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < now),
    }
    return [
        outbox.c.done_at.is_(None),
        outbox.c.dead_at.is_(None),
        outbox.c.due_at <= now,
        leases[which],
    ]


def renew(claims: Sequence[Claim]) -> None:
    """Hold the leases of rows that are still under way for another `LEASE_SECONDS`."""
    with unit_of_work(synchronous=False) as uow:
        for held in claims:
            _write(uow, _RENEW, held)


def complete(uow: UnitOfWork, held: Claim) -> None:
    """Mark the row done in the transaction of the task's own effects. Raises `LeaseLostError`."""
    statement = _COMPLETE_LAZILY if uow.lazy else _COMPLETE
    if not _write(uow, statement, held, attempts_now=held.attempt):
        raise LeaseLostError(held.task)


def postpone(held: Claim, seconds: float, error: str, *, counted: bool = True) -> None:
    """Give the row back, due again in ``seconds``; the attempt counts unless it was no fault."""
    attempts = held.attempt if counted else held.attempt - 1
    with unit_of_work(synchronous=False) as uow:
        _write(uow, _POSTPONE, held, seconds=seconds, error_now=error, attempts_now=attempts)


def give_up(held: Claim, error: str) -> None:
    """Put the row among the dead letters, with the reason."""
    with unit_of_work(synchronous=False) as uow:
        _write(uow, _GIVE_UP, held, error_now=error, attempts_now=held.attempt)


def release(held: Claim) -> None:
    """Give back a row that was claimed and not begun; the attempt does not count."""
    with unit_of_work(synchronous=False) as uow:
        _write(uow, _RELEASE, held, attempts_now=held.attempt - 1)


def _write(uow: UnitOfWork, statement: Compiled, held: Claim, **values: Any) -> bool:
    """Whether the row is still the holder's, and so was written."""
    return bool(uow.execute(statement, held_id=held.id, held_fence=held.fence, **values))


def _held(*, lazily: bool = True, **values: Any) -> Compiled:
    return Compiled(
        update(outbox)
        .where(
            outbox.c.id == bindparam("held_id"),
            outbox.c.fence == bindparam("held_fence"),
            outbox.c.done_at.is_(None),
            outbox.c.dead_at.is_(None),
        )
        .values(**values)
        .returning(literal(1), *([lazy_commit()] if lazily else []))
    )


_ATTEMPTS = bindparam("attempts_now", type_=Integer())
_ERROR = bindparam("error_now", type_=Text())
_DONE: dict[str, Any] = {"done_at": database_now(), "leased_until": None, "attempts": _ATTEMPTS}
_COMPLETE = _held(lazily=False, **_DONE)
_COMPLETE_LAZILY = _held(**_DONE)
_RENEW = _held(leased_until=database_now(LEASE_SECONDS))
_RELEASE = _held(leased_until=None, attempts=_ATTEMPTS)
_POSTPONE = _held(
    due_at=database_now(bindparam("seconds", type_=Float())),
    leased_until=None,
    error=_ERROR,
    attempts=_ATTEMPTS,
)
_GIVE_UP = _held(dead_at=database_now(), leased_until=None, error=_ERROR, attempts=_ATTEMPTS)
