"""The unit of work: a change, the events that tell of it and the work that follows commit together.

Services open it (``with unit_of_work() as uow:``). The outermost one commits, inner ones join it.
Nothing leaves the process before the commit: no wake-up, no cache invalidation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext, NestedTransaction
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from trellis.cache import current_cache
from trellis.cache.in_front import purges
from trellis.db.transaction import Transaction, current_transaction
from trellis.entries import append
from trellis.errors import CommittedRefusal
from trellis.events import Event
from trellis.feed.record import FeedRecord
from trellis.feed.stale import record_of
from trellis.outbox.record import OutboxRecord
from trellis.runtime import runtime
from trellis_cache.tags import digest_of
from trellis_statements.compiled import Compiled, Found

log = structlog.get_logger(__name__)

_current: ContextVar[UnitOfWork | None] = ContextVar("trellis_unit_of_work", default=None)
_commits: ContextVar[int] = ContextVar("trellis_commits", default=0)
# Once more for what was answered before the commit, and reached the cache in front after the first.
_PURGE_SECONDS = (0.0, 10.0)
_BROKEN = "a part of this unit of work failed, so it cannot commit"

__all__ = ["UnitOfWork", "unit_of_work"]


class UnitOfWork:
    """What a service may do inside ``with unit_of_work() as uow:``."""

    def __init__(self, *, synchronous: bool = True, isolated: bool = False) -> None:
        self._synchronous, self._isolated = synchronous, isolated
        self._transaction: Transaction | None = None
        self._events: list[FeedRecord] = []
        self._work: list[OutboxRecord] = []
        self._stale: list[tuple[str, bool]] = []
        self._outdated: FeedRecord | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._broken = False

    @property
    def session(self) -> Session:
        """The session of this unit. The transaction begins at first use, not before.

        So slow work (decoding an image, calling a server) that is done first holds no lock.
        """
        return self._begin().session

    def execute(self, statement: Compiled, /, **parameters: Any) -> Sequence[Found]:
        """Run a statement that is compiled once, at a fraction of the session's cost.

        Returns the rows of its ``returning``, if it has one. The transaction begins at first use.
        Raises TypeError for parameters that are not the statement's.
        """
        statement.check(parameters)
        return self._begin().rows(statement, parameters)

    @property
    def lazy(self) -> bool:
        """Whether the commit may be `trellis.db.commits.lazy_commit`: nobody is told of it."""
        return not (self._synchronous or self._events or self._work or self._stale)

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

        ``delay`` is in seconds. While a row with the same ``unique`` key exists nothing is
        appended: it exists until it is done and a day is over, or dead and dropped. ``subject`` is
        the person whom the arguments concern, so that erasure finds them. Raises TypeError for
        arguments that are not JSON and LookupError for a task that nobody declares.
        """
        json.dumps(arguments)
        self._work.append(OutboxRecord.of(task, arguments, delay, unique, subject))

    def invalidate(self, tag: str, *, everywhere: bool = False) -> None:
        """Make every cached value with this tag stale after the commit.

        The tag is written with its plugin, as in ``media.assets:<user id>``. ``everywhere`` is for
        what takes a right away: the unit ends only when no process gives an old value any more,
        which takes up to a second when one of them does not answer.
        """
        self._stale.append((tag, everywhere))

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once after the commit; what it raises is logged, the commit stands."""
        self._callbacks.append(callback)

    @contextmanager
    def _joined(self) -> Iterator[None]:
        """An inner unit: what fails in it takes this one with it."""
        try:
            yield
        except (CommittedRefusal, GeneratorExit):
            # The latter is of one that was interrupted before its block began, and is now collected
            # as garbage, when another part may be under way.
            raise
        except BaseException:
            self._broken = True
            raise

    @property
    def _border(self) -> NestedTransaction | None:
        """What fails right within this savepoint, or None, takes the unit with it."""
        return None

    def _begin(self) -> Transaction:
        """The transaction, which begins when it is asked for."""
        if self._transaction is None:
            lazy, isolated = not self._synchronous, self._isolated
            self._transaction = Transaction(lazy=lazy, isolated=isolated)
            current_transaction.set(self._transaction)
        return self._transaction

    def _commit(self) -> None:
        if self._broken:
            raise RuntimeError(_BROKEN)
        for tags in purges(dict(self._stale)):
            self._work.extend(
                OutboxRecord.of("core.purge_tags", {"tags": tags}, delay)
                for delay in _PURGE_SECONDS
            )
        if self._stale:
            self._outdated = record_of([digest_of(tag) for tag in dict(self._stale)])
        told = [*self._events, self._outdated] if self._outdated is not None else self._events
        if self._transaction is None and not told and not self._work:
            return
        transaction = self._begin()
        transaction.flush()
        if told or self._work:
            append(transaction.connection, told, self._work)
        _commits.set(_commits.get() + 1)
        transaction.commit()

    def _close(self) -> None:
        if (transaction := self._transaction) is not None:
            # First: a connection that is lost fails to roll back, and must not leave this one open.
            self._transaction = None
            current_transaction.set(None)
            try:
                transaction.close()
            except SQLAlchemyError as error:  # what went wrong before says more
                log.warning("not_rolled_back", error=type(error).__name__)

    def _announce(self) -> None:
        # Waking first: it takes no time here, and the other may wait for other processes.
        for step in (self._wake, self._outdate, *self._callbacks):
            try:
                step()
            except Exception:
                log.exception("after_commit_failed")

    def _outdate(self) -> None:
        if self._outdated is not None:
            tags = self._outdated.event.payload()["tags"]
            everywhere = any(everywhere for _, everywhere in self._stale)
            current_cache().invalidate(str(self._outdated.event_id), tags, everywhere=everywhere)

    def _wake(self) -> None:
        runtime().announcer.announce([work.queue for work in self._work], feed=bool(self._events))


class Collection(UnitOfWork):
    """A unit whose inner units succeed and fail as if each were alone, and commit together with it.

    Each is a part that is taken back alone. ``begun`` is called as soon as a transaction has begun,
    before the first write of anybody.
    """

    def __init__(self, begun: Callable[[], None], **options: bool) -> None:
        super().__init__(**options)
        self._begun = begun
        self._part: _Part | None = None
        self._has_begun = False

    @property
    def has_begun(self) -> bool:
        """Whether anybody has written, or is about to, whatever became of it."""
        return self._has_begun or bool(self._events or self._work)

    def _begin(self) -> Transaction:
        begins = self._transaction is None
        transaction = super()._begin()
        if begins:
            self._has_begun = True
            try:
                self._begun()
            except BaseException:
                self._close()  # or who catches it would write into what it has refused
                raise
        if self._part is not None and self._part.transaction is None:
            self._part.begin(transaction, whole=begins)
        return transaction

    @property
    def _border(self) -> NestedTransaction | None:
        return self._part.savepoint if self._part is not None else None

    @contextmanager
    def _joined(self) -> Iterator[None]:
        if self._part is not None:  # an inner unit of the part
            with super()._joined():
                yield
            return
        self._part = part = _Part()
        entries: tuple[list[Any], ...] = (self._events, self._work, self._stale, self._callbacks)
        lengths = [len(each) for each in entries]
        try:
            try:
                yield
            except CommittedRefusal:
                part.keep(self._broken)
                raise
            part.keep(self._broken)
        except CommittedRefusal:
            raise
        except BaseException:
            for each, length in zip(entries, lengths, strict=True):
                del each[length:]
            if part.whole:
                self._close()
            else:
                part.take_back()
            raise
        finally:
            self._part, self._broken = None, False


class _Part:
    """What one inner unit writes into a collection.

    Behind a savepoint, unless the transaction began with it: then it is the whole of it so far, and
    is taken back with it.
    """

    transaction: Transaction | None = None
    savepoint: NestedTransaction | None = None
    whole = False

    def begin(self, transaction: Transaction, *, whole: bool) -> None:
        self.transaction, self.whole = transaction, whole
        if not whole:
            transaction.end_session()
            self.savepoint = transaction.connection.begin_nested()

    def keep(self, broken: bool) -> None:
        if broken:
            raise RuntimeError(_BROKEN)
        if self.transaction is not None:
            self.transaction.flush()
            self.transaction.end_session()
        if self.savepoint is not None:
            self.savepoint.commit()

    def take_back(self) -> None:
        if self.transaction is not None:
            self.transaction.end_session()
        if self.savepoint is not None and self.savepoint.is_active:  # it may end with the whole
            self.savepoint.rollback()


@contextmanager
def unit_of_work(*, synchronous: bool = True) -> Iterator[UnitOfWork]:
    """Open a unit of work, or join the one that is open.

    `CommittedRefusal` commits what was written so far and is then raised; every other exception
    rolls everything back. An inner unit that failed takes the outer one with it, and so does a
    statement that failed outside a savepoint, whoever catches the exception.

    ``synchronous=False`` is for what is done again when a database that crashes forgets it: the
    outermost commit need not wait for the disk then (see `UnitOfWork.lazy`).
    """
    outer = _current.get()
    if outer is not None:
        with outer._joined():
            yield outer
        return
    unit = UnitOfWork(synchronous=synchronous)
    with _outermost(unit):
        yield unit


@contextmanager
def collection(
    begun: Callable[[], None], *, synchronous: bool = True, isolated: bool = False
) -> Iterator[Collection]:
    """Open a `Collection` as the outermost unit. Raises RuntimeError when a unit is open.

    For ``isolated`` see `Transaction`.
    """
    if _current.get() is not None:
        raise RuntimeError("a collection is the outermost unit of work")
    unit = Collection(begun, synchronous=synchronous, isolated=isolated)
    with _outermost(unit):
        yield unit


def commits_begun() -> int:
    """How many commits this thread has begun; what is counted may have happened."""
    return _commits.get()


@contextmanager
def _outermost(unit: UnitOfWork) -> Iterator[None]:
    token = _current.set(unit)
    refusal: CommittedRefusal | None = None
    try:
        try:
            yield
        except CommittedRefusal as error:
            refusal = error
        unit._commit()
    finally:
        _current.reset(token)
        unit._close()
    unit._announce()
    if refusal is not None:
        raise refusal


@event.listens_for(Engine, "handle_error")
def _break(context: ExceptionContext) -> None:
    # PostgreSQL rolls back what is committed after a failed statement, and the driver says nothing.
    unit, connection = _current.get(), context.connection
    if unit is None or connection is None or unit._transaction is None:
        return
    if connection is unit._transaction.connection:
        unit._broken |= connection.get_nested_transaction() is unit._border
