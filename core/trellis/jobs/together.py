"""Several quick runs in one commit, on SQLite, where the commit costs more than the run.

Each run is a part behind a savepoint: its effects, events and work stand or fall with it alone. But
everybody's writes wait for an open transaction, and a slow run would hold it. So only tasks that
have been quick of late take part, for a moment at a time, and one that turns out to be slow is
interrupted, taken back, and run again by itself after the commit of the others.
"""

from __future__ import annotations

import gc
import time
from collections import deque

import structlog
from sqlalchemy.exc import SQLAlchemyError

from trellis.db.base import db
from trellis.db.engine import lock_seconds
from trellis.jobs.flight import Ended
from trellis.jobs.limits import TurnOver
from trellis.jobs.run import run
from trellis.outbox.lease import Claim
from trellis.unit_of_work import collection

log = structlog.get_logger(__name__)

# For how long a commit is put off, and how much longer the last run may take.
_TOGETHER_SECONDS = 0.05
_TURN_SECONDS = 0.2

_QUICK_SECONDS = 0.02
_KNOWN_RUNS = 8
_FORGOTTEN = 0.95


class _Pace:
    """How long the runs of each task have taken in this process: the slowest one, fading."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[int, float]] = {}

    def note(self, task: str, seconds: float) -> None:
        runs, slowest = self._runs.get(task, (0, 0.0))
        self._runs[task] = (runs + 1, max(seconds, slowest * _FORGOTTEN))

    def is_quick(self, task: str) -> bool:
        runs, slowest = self._runs.get(task, (0, 0.0))
        return runs >= _KNOWN_RUNS and slowest < _QUICK_SECONDS


_pace = _Pace()


def run_next(waiting: deque[Claim]) -> list[Ended]:
    """Run the first row, and those after it that may share its commit; they are taken out."""
    if db.engine.dialect.name == "sqlite" and _pace.is_quick(waiting[0].task):
        before = list(waiting)
        try:
            ended, interrupted = _run_together(waiting)
        except SQLAlchemyError as error:
            # One that was interrupted in a statement has taken the connection along: all again.
            log.info("commit_not_shared", error=type(error).__name__)
            waiting.clear()
            waiting.extend(before)
        else:
            return ended if interrupted is None else [*ended, _run_by_itself(interrupted)]
        gc.collect()  # the statement, which holds SQLite's lock
    return [_run_by_itself(waiting.popleft())]


def _run_together(waiting: deque[Claim]) -> tuple[list[Ended], Claim | None]:
    ended: list[Ended] = []
    with collection(lambda: None, synchronous=False) as shared:
        _ = shared.session  # which begins: to wait for others' commits is no part of a run
        until = time.monotonic() + _TOGETHER_SECONDS
        while waiting and _pace.is_quick(waiting[0].task) and time.monotonic() < until:
            held = waiting.popleft()
            try:
                ended.append(run(held, turn=_TURN_SECONDS))
            except TurnOver:
                _pace.note(held.task, _TURN_SECONDS)
                return ended, held
            _pace.note(held.task, ended[-1].seconds)
    return ended, None


def _run_by_itself(held: Claim) -> Ended:
    waited = lock_seconds()
    ended = run(held)
    _pace.note(held.task, ended.seconds - (lock_seconds() - waited))
    return ended
