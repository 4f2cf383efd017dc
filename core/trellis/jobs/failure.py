"""What becomes of a row whose run failed: another attempt later, or the dead letters."""

from __future__ import annotations

import random
import signal
import traceback
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from trellis.db.faults import Fault
from trellis.errors import DomainError, Permanent, RetryLater, StartError, Transient
from trellis.jobs.limits import OVERDUE, SILENT, TaskTimeoutError
from trellis.outbox.lease import Claim, give_up, postpone
from trellis.task import Task

log = structlog.get_logger(__name__)

_LONGEST_DELAY = 600.0
# Runs that did not count (database faults, and each time that a task asked for later) before the
# database's faults are taken for the task's.
_MOST_UNCOUNTED = 50

# Their texts are written for operators, or name code. Others' may hold what people wrote: an
# address that a server refused, a value that is no number.
_TOLD = (
    *(Permanent, Transient, RetryLater, DomainError, StartError, TaskTimeoutError),
    *(AttributeError, ImportError, NameError, NotImplementedError, TypeError),
)


def fail(task: Task, held: Claim, error: BaseException | None, reason: str) -> str:
    """Count a failed attempt; the outcome is ``failed``, or ``dead`` after the last one."""
    if isinstance(error, Permanent) or held.attempt >= task.options.attempts:
        give_up(held, reason)
        return "dead"
    postpone(held, _delay(held.attempt), reason)
    return "failed"


def put_off(task: Task, held: Claim, wish: RetryLater) -> str:
    """Let a task wait as long as it asked for; ``dead`` when it has been asking for too long."""
    if held.age >= task.options.give_up_after:
        give_up(held, f"still asks for later after {held.age:.0f} seconds: {describe(wish)}")
        return "dead"
    postpone(held, max(0.0, wish.seconds), describe(wish), counted=False)
    return "postponed"


def hand_back(held: Claim, error: Exception, fault: Fault) -> bool:
    """Have it run again soon, as it was the database's fault; False when that is so too often.

    A statement that took too long may be the task's own fault, and is no better at once.
    """
    if fault is Fault.SLOW or held.fence - held.attempt >= _MOST_UNCOUNTED:
        return False
    log.warning("task_refused", fault=fault.value, error=type(error).__name__)
    postpone(held, random.uniform(0.1, 1.0), describe(error), counted=False)
    return True


def describe(error: BaseException) -> str:
    """An error in one line, for operators, without anything that a person may have written."""
    if isinstance(error, _TOLD):
        return f"{type(error).__name__}: {error}"[:2000]
    told = _refusal(error) or _system(error)
    return f"{type(error).__name__}{told}{_place(error)}"[:2000]


def describe_exit(code: int) -> str:
    """How a process ended in mid-task, by what `os.waitstatus_to_exitcode` tells."""
    if code == SILENT:
        return "its process ended with exit code 1 (or itself: C code held the interpreter)"
    if code == OVERDUE:
        return "did not stop at its time limit, so its process ended itself"
    if code == -signal.SIGKILL:
        return "its process was ended by SIGKILL (by somebody, or for want of memory)"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


def _delay(attempt: int) -> float:
    """Seconds before the next attempt: doubling, with jitter so that they do not come in step."""
    return min(2.0**attempt, _LONGEST_DELAY) * random.uniform(0.5, 1.5)


def _refusal(error: BaseException) -> str:
    """What PostgreSQL refused; its sentences quote values."""
    if not isinstance(error, DBAPIError):
        return ""
    diagnosis = getattr(error.orig, "diag", None)
    names = [
        getattr(error.orig, "sqlstate", None),
        getattr(diagnosis, "table_name", None),
        getattr(diagnosis, "constraint_name", None),
    ]
    told = " ".join(name for name in names if name)
    return f" ({told})" if told else ""


def _system(error: BaseException) -> str:
    """What the operating system says; the name of a file is no part of it."""
    return f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""


def _place(error: BaseException) -> str:
    """Where it was raised; of the frames in the packages of others the last one is enough."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    frame = frames[-1]
    path = Path(frame.filename)
    return f" in {frame.name} ({path.parent.name}/{path.name}:{frame.lineno})"
