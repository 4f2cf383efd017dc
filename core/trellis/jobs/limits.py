"""Bounds of one run: time, which the process does not outlive, and memory of its own process."""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 5.0
"""How long after its time limit a run may go on before its process ends itself."""

OVERDUE = 70
"""Exit code of a process that ended itself because its task did not."""

SILENT = 1
"""Exit code of a process that C code ended because C code held the interpreter; not our choice."""

# By then leases ran out long ago, and others have the rows.
_LONGEST_SILENCE = 20.0


class TaskTimeoutError(Exception):
    """A task ran past its time limit."""


class TurnOver(BaseException):
    """A run took longer than it may together with others; a task is not asked to understand it."""


class _Run:
    """The run that is under way in this process; only the main thread runs tasks."""

    ends_at = math.inf
    in_turn = False


_run = _Run()


@contextmanager
def time_limit(seconds: float, turn: float | None = None) -> Iterator[None]:
    """Raise `TaskTimeoutError` in the block after so long; `TurnOver` after a ``turn``, if sooner.

    A block that is deaf to it (it catches everything, or hangs in C) is `overdue` after the grace.
    """

    def expire(_signal: int, _frame: FrameType | None) -> None:
        if turn is not None and turn < seconds:
            raise TurnOver
        raise TaskTimeoutError(f"ran longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, expire)
    _run.ends_at = time.monotonic() + seconds + GRACE_SECONDS
    _run.in_turn = turn is not None
    signal.setitimer(signal.ITIMER_REAL, seconds if turn is None else min(seconds, turn))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _run.ends_at, _run.in_turn = math.inf, False


def run_alone() -> None:
    """Have the task under way run by itself, in a commit of its own; elsewhere nothing happens.

    To be called before an effect outside the database: quick tasks may share a commit, and one that
    turns out slow is interrupted there and begun anew. It would have its effect twice.
    """
    if _run.in_turn:
        raise TurnOver


def silence(seconds: float) -> float:
    """For how long no Python may run in the process of a task with this time limit."""
    return min(seconds + GRACE_SECONDS, _LONGEST_SILENCE)


def overdue() -> bool:
    """Whether the run under way should have ended some time ago."""
    return time.monotonic() > _run.ends_at


def limit_memory(mebibytes: int) -> None:
    """Have this process, and each one that it starts, find no more memory than this for its data.

    What is beyond raises MemoryError, or ends the process. Where the system knows no such bound
    (macOS), there is none.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = mebibytes * 2**20
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def resident_mebibytes() -> float:
    """Memory of this process that is in use, or was at its peak where the system tells no more."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (of all tasks' ends)
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
