"""An erasure: one durable task per plugin, the core's own part, and the proof of completion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select

from trellis.api.models import StoredAnswer
from trellis.contracts import BlobStore, port
from trellis.db.base import Model
from trellis.db.clock import utcnow
from trellis.db.engine import empty_log
from trellis.db.ids import new_id
from trellis.db.reads import fetch_all, fetch_one
from trellis.errors import NotFound, RetryLater
from trellis.feed.models import FeedEntry
from trellis.observe.audit import record
from trellis.outbox.models import OutboxRow
from trellis.privacy import journal
from trellis.privacy.models import Erasure, ErasurePart
from trellis.runtime import runtime
from trellis.unit_of_work import UnitOfWork, unit_of_work

CORE = "core"

_ABSENT_SECONDS = 300


@dataclass(frozen=True)
class PartState:
    """How far one plugin is."""

    plugin: str
    completed_at: datetime | None


@dataclass(frozen=True)
class ErasureState:
    """How far an erasure is."""

    id: UUID
    requested_at: datetime
    completed_at: datetime | None
    parts: list[PartState]


def state(erasure_id: UUID) -> ErasureState:
    """How far an erasure is. Raises `NotFound`."""
    row = fetch_one(
        select(Erasure.id, Erasure.requested_at, Erasure.completed_at).where(
            Erasure.id == erasure_id
        )
    )
    if row is None:
        raise NotFound
    parts = fetch_all(
        select(ErasurePart.plugin, ErasurePart.completed_at)
        .where(ErasurePart.erasure_id == erasure_id)
        .order_by(ErasurePart.plugin)
    )
    return ErasureState(
        row.id, row.requested_at, row.completed_at, [PartState(*part) for part in parts]
    )


def request_erasure(uow: UnitOfWork, user_id: UUID, *, erasure_id: UUID | None = None) -> UUID:
    """Have everything that any plugin holds of a person erased; returns the erasure's id.

    The caller's plugin ends the person's access in the same unit of work; the rest follows in tasks
    that are repeated until every plugin has completed. An erasure that a restored database has
    forgotten is requested again under its own ``erasure_id``.
    """
    erasure = Erasure(id=erasure_id or new_id(), subject=user_id, requested_at=utcnow())
    uow.session.add(erasure)
    uow.session.flush()
    for plugin in [*runtime().personal_data, CORE]:
        uow.session.add(ErasurePart(erasure_id=erasure.id, plugin=plugin, erased={}))
    for plugin in runtime().personal_data or [CORE]:
        _enqueue(uow, erasure.id, plugin)
    record(uow, "core.erasure_requested", subject=user_id, erasure_id=str(erasure.id))
    return erasure.id


def erase_part(erasure_id: UUID, plugin: str) -> None:
    """Erase one plugin's part and note the proof; the last plugin starts the core's part.

    Nothing is erased before the journal knows of it, or a restore could bring it back for good.
    """
    for note in journal.open_erasures(erasure_id):
        journal.keep(port(BlobStore), note)
    with unit_of_work() as uow:
        # The row is locked so that of two parts that end together one sees the other's end.
        erasure = uow.session.execute(
            select(Erasure).where(Erasure.id == erasure_id).with_for_update()
        ).scalar_one()
        part = uow.session.get_one(ErasurePart, (erasure_id, plugin))
        if erasure.subject is None or part.completed_at is not None:
            return
        part.erased = dict(_erase_of(plugin)(erasure.subject))
        part.completed_at = utcnow()
        uow.session.flush()
        waiting = set(
            uow.session.scalars(
                select(ErasurePart.plugin).where(
                    ErasurePart.erasure_id == erasure_id, ErasurePart.completed_at.is_(None)
                )
            )
        )
        if waiting == {CORE}:
            _enqueue(uow, erasure_id, CORE)
        elif not waiting:
            erasure.subject = None
            uow.enqueue("core.complete_erasure", erasure_id=str(erasure_id))


def complete(erasure_id: UUID) -> None:
    """Call an erasure complete when the deleted rows are no longer on the disk either.

    Raises TimeoutError when that cannot be now.
    """
    empty_log()
    with unit_of_work() as uow:
        erasure = uow.session.get_one(Erasure, erasure_id, with_for_update=True)
        if erasure.completed_at is None:
            erasure.completed_at = utcnow()
            record(uow, "core.erasure_completed", erasure_id=str(erasure_id))


def _enqueue(uow: UnitOfWork, erasure_id: UUID, plugin: str) -> None:
    uow.enqueue(
        "core.erase_part",
        unique=f"core.erase_part:{erasure_id}:{plugin}",
        erasure_id=str(erasure_id),
        plugin=plugin,
    )


def _erase_of(plugin: str) -> Callable[[UUID], Mapping[str, int]]:
    if plugin == CORE:
        return _erase_core
    rooms = runtime().personal_data.get(plugin)
    if rooms is None:
        # It is left out of this start and keeps its tables: its part waits until it is back.
        raise RetryLater(_ABSENT_SECONDS)
    return rooms.erase


def _erase_core(subject: UUID) -> Mapping[str, int]:
    """What the core holds of a person: feed entries, stored answers, work and dead letters.

    And once more what plugins hold: one that was erased early may have been sent something by
    another one, of which nothing was erased yet. The work goes first: a task that runs meanwhile
    has committed, with whatever it made, when its row can be deleted, or it will find no row to
    call done and take everything back.
    """
    with unit_of_work() as uow:
        work = 0
        while dropped := _delete(uow, OutboxRow, OutboxRow.subject == subject):
            work += dropped
        for rooms in runtime().personal_data.values():
            rooms.erase(subject)
        return {
            "feed_entries": _delete(uow, FeedEntry, FeedEntry.subject == subject),
            "work": work,
            "answers": _delete(uow, StoredAnswer, StoredAnswer.subject == subject),
        }


def _delete(uow: UnitOfWork, model: type[Model], which: ColumnElement[bool]) -> int:
    statement = delete(model).where(which).execution_options(synchronize_session=False)
    return uow.session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]
