"""Running one claimed piece of work: its effects and its 'done' commit together."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

from trellis.errors import CommittedRefusal, Permanent, RetryLater
from trellis.jobs.declaration import Task
from trellis.observe.metrics import observe_task
from trellis.outbox.lease import Claim, LeaseLostError, complete, give_up, postpone
from trellis.runtime import runtime
from trellis.unit_of_work import unit_of_work

log = structlog.get_logger(__name__)

_LONGEST_DELAY = 600.0


class TaskTimeoutError(Exception):
    """A task ran past its time limit."""


def run(held: Claim) -> None:
    """Run a claimed row to its end, or to its next attempt. Never raises what the task raises."""
    task = runtime().tasks[held.task]
    if held.fence > task.options.attempts:
        # It never came to an exception: each attempt took its process down with it.
        give_up(held, "every attempt ended with the process that made it")
        return
    started = time.perf_counter()
    with structlog.contextvars.bound_contextvars(task=held.task, job=str(held.id)):
        try:
            with unit_of_work() as uow:
                with _time_limit(task.options.time_limit):
                    _call(task, held)
                complete(uow, held)
            outcome = "done"
        except LeaseLostError:
            log.warning("task_lease_lost")
            outcome = "lease_lost"
        except RetryLater as error:
            postpone(held, error.seconds, _describe(error), counted=False)
            outcome = "postponed"
        except Exception as error:
            log.warning("task_failed", attempt=held.fence, exc_info=True)
            if isinstance(error, Permanent) or held.fence >= task.options.attempts:
                give_up(held, _describe(error))
                outcome = "dead"
            else:
                postpone(held, _delay(held.fence), _describe(error))
                outcome = "failed"
    observe_task(held.task, outcome, time.perf_counter() - started)


def _call(task: Task, held: Claim) -> None:
    try:
        task.function(**held.arguments)
    except CommittedRefusal as refusal:
        # Committed without the fence, it would be written again by each attempt.
        raise RuntimeError(f"refused: {refusal}") from refusal


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def _delay(attempt: int) -> float:
    """Seconds before the next attempt: doubling, with jitter so that they do not come in step."""
    return min(2.0**attempt, _LONGEST_DELAY) * random.uniform(0.5, 1.5)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise TaskTimeoutError(f"ran longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
