"""The unit of work: a change, the events that tell of it and the work that follows commit together.

Services open it (``with unit_of_work() as uow:``). The outermost one commits, inner ones join it.
Nothing leaves the process before the commit: no wake-up, no cache invalidation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import structlog
from redis import RedisError
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.orm import Session

from trellis.cache import invalidate
from trellis.db.base import db
from trellis.db.engine import UNIT
from trellis.db.session import current_session
from trellis.errors import CommittedRefusal
from trellis.events import Event
from trellis.feed.append import FeedRecord, append_events
from trellis.jobs.wake import wake_feed, wake_workers
from trellis.outbox.append import OutboxRecord, append_work

log = structlog.get_logger(__name__)

_current: ContextVar[UnitOfWork | None] = ContextVar("trellis_unit_of_work", default=None)


class UnitOfWork:
    """What a service may do inside ``with unit_of_work() as uow:``."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._events: list[FeedRecord] = []
        self._work: list[OutboxRecord] = []
        self._tags: dict[str, None] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._broken = False

    @property
    def session(self) -> Session:
        """The session of this unit. The transaction begins at first use, not before.

        So slow work (decoding an image, calling a server) that is done first holds no lock.
        """
        if self._session is None:
            session = db.session()
            session.connection(execution_options=UNIT)
            self._session = session
            current_session.set(session)
        return self._session

    def publish(self, event: Event) -> None:
        """Append an event to the feed and one piece of work for each of its listeners."""
        record = FeedRecord.of(event)
        self._events.append(record)
        self._work.extend(record.deliveries())

    def enqueue(
        self,
        task: str,
        /,
        *,
        delay: float = 0.0,
        unique: str | None = None,
        subject: UUID | None = None,
        **arguments: Any,
    ) -> None:
        """Append durable work: ``task`` runs after the commit, in a unit of work of its own.

        ``delay`` is in seconds. Of one ``unique`` key only the first row is kept. ``subject`` is
        the person whom the arguments concern, so that erasure finds them. Raises TypeError for
        arguments that are not JSON and LookupError for a task that nobody declares.
        """
        json.dumps(arguments)
        self._work.append(OutboxRecord.of(task, arguments, delay, unique, subject))

    def invalidate(self, tag: str) -> None:
        """Make every cached value with this tag stale after the commit.

        The tag is written with its plugin, as in ``media.assets:<user id>``.
        """
        self._tags[tag] = None

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once after the commit; what it raises is logged, the commit stands."""
        self._callbacks.append(callback)

    def _commit(self) -> None:
        if self._broken:
            raise RuntimeError("a part of this unit of work failed, so it cannot commit")
        if self._session is None and not self._events and not self._work:
            return
        session = self.session
        session.flush()
        append_events(session, self._events)
        append_work(session, self._work)
        session.commit()

    def _close(self) -> None:
        if self._session is not None:
            try:
                self._session.rollback()
            finally:
                db.session.remove()

    def _announce(self) -> None:
        steps: list[Callable[[], None]] = []
        if self._tags:
            steps.append(lambda: invalidate(list(self._tags)))
        if self._work:
            steps.append(lambda: wake_workers(self._work))
        if self._events:
            steps.append(wake_feed)
        for step in [*steps, *self._callbacks]:
            try:
                step()
            except RedisError as error:
                # The sweep wakes for what this wake-up would have told.
                log.warning("broker_away", error=str(error))
            except Exception:
                log.exception("after_commit_failed")


@contextmanager
def unit_of_work() -> Iterator[UnitOfWork]:
    """Open a unit of work, or join the one that is open.

    `CommittedRefusal` commits what was written so far and is then raised; every other exception
    rolls everything back. An inner unit that failed takes the outer one with it, and so does a
    statement that failed outside a savepoint, whoever catches the exception.
    """
    outer = _current.get()
    if outer is not None:
        try:
            yield outer
        except CommittedRefusal:
            raise
        except BaseException:
            outer._broken = True
            raise
        return

    unit = UnitOfWork()
    token = _current.set(unit)
    refusal: CommittedRefusal | None = None
    try:
        try:
            yield unit
        except CommittedRefusal as error:
            refusal = error
        unit._commit()
    finally:
        # First: a connection that is lost fails to roll back, and must not leave this unit open.
        _current.reset(token)
        current_session.set(None)
        unit._close()
    unit._announce()
    if refusal is not None:
        raise refusal


@event.listens_for(Engine, "handle_error")
def _break(context: ExceptionContext) -> None:
    # PostgreSQL rolls back what is committed after a failed statement, and the driver says nothing.
    unit, connection = _current.get(), context.connection
    if unit is None or connection is None or connection.in_nested_transaction():
        return
    if connection.get_execution_options().get("trellis_unit"):
        unit._broken = True
