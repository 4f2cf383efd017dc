"""Running one claimed piece of work: its effects and its 'done' commit together."""

from __future__ import annotations

import time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from trellis.db.faults import fault_of
from trellis.errors import CommittedRefusal, RetryLater
from trellis.jobs.failure import describe, fail, hand_back, put_off
from trellis.jobs.flight import Ended, process
from trellis.jobs.limits import time_limit
from trellis.outbox.lease import Claim, LeaseLostError, complete, give_up
from trellis.runtime import runtime
from trellis.task import Task
from trellis.unit_of_work import unit_of_work

log = structlog.get_logger(__name__)


def run(held: Claim, *, turn: float | None = None) -> Ended:
    """Run a claimed row to its end, or to its next attempt. Never raises what the task raises.

    Raises `TurnOver`, with nothing done, when a ``turn`` is given and the task takes longer.
    """
    task = runtime().tasks[held.task]
    started = time.perf_counter()
    if held.attempt > task.options.attempts:
        # It never came to an exception: each attempt took its process down with it.
        give_up(held, "every attempt ended with the process that made it")
        return Ended(held.task, "dead", 0.0)
    process.runs += 1
    process.flight.begin(held)
    with structlog.contextvars.bound_contextvars(task=held.task, job=str(held.id)):
        outcome = _attempt(task, held, turn)
    ended = Ended(held.task, outcome, time.perf_counter() - started)
    process.flight.end(ended)
    return ended


def _attempt(task: Task, held: Claim, turn: float | None) -> str:
    try:
        with unit_of_work(synchronous=False) as uow:
            with time_limit(task.options.time_limit, turn):
                _call(task, held)
            complete(uow, held)
    except LeaseLostError:
        log.warning("task_lease_lost")
        return "lease_lost"
    except RetryLater as error:
        return put_off(task, held, error)
    except Exception as error:
        fault = fault_of(error) if isinstance(error, SQLAlchemyError) else None
        if fault is not None and hand_back(held, error, fault):
            return "refused"
        log.warning("task_failed", attempt=held.attempt, exc_info=True)
        return fail(task, held, error, describe(error))
    return "done"


def _call(task: Task, held: Claim) -> None:
    try:
        task.function(**held.arguments)
    except CommittedRefusal as refusal:
        # Committed without the fence, it would be written again by each attempt.
        raise RuntimeError(f"refused: {refusal}") from refusal
    except SystemExit as error:
        if process.stopping.is_set():  # by who stops us, and asks for the second time
            raise
        raise RuntimeError("tried to end its process") from error
