"""What a task is, and how one is declared: a function of a ``tasks.py`` that a worker runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

Queue = Literal["light", "heavy"]
QUEUES: tuple[Queue, ...] = ("light", "heavy")
Priority = Literal["high", "normal", "low"]
PRIORITIES: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2}
"""As it is stored: claims go by it, ascending."""
F = TypeVar("F", bound=Callable[..., None])

_ATTRIBUTE = "__trellis_task__"
_DAY = 86_400.0


@dataclass(frozen=True)
class Options:
    """How a task is run."""

    queue: Queue = "light"
    time_limit: float = 30.0
    attempts: int = 8
    priority: Priority = "normal"
    memory_mb: int = 1024
    give_up_after: float = 7 * _DAY


@dataclass(frozen=True)
class Task:
    """A declared task under its full name, ``media.make_renditions``."""

    name: str
    function: Callable[..., None]
    options: Options

    @property
    def queue(self) -> Queue:
        """The class of work that it belongs to."""
        return self.options.queue


def task(
    *,
    queue: Queue = "light",
    time_limit: float = 30.0,
    attempts: int = 8,
    priority: Priority = "normal",
    memory_mb: int = 1024,
    give_up_after: float = 7 * _DAY,
) -> Callable[[F], F]:
    """Declare a function as the task ``<plugin>.<function name>``; its arguments are JSON values.

    ``light`` tasks are many and short and share a process; each ``heavy`` one gets a process of its
    own (decoding what strangers sent), which has ``memory_mb`` MiB for its data. ``time_limit`` is
    in seconds; a process whose task does not heed it ends itself. ``priority`` is among all that is
    due; a part of the claims goes by it in reverse, so that nothing waits for ever.

    A failed attempt is repeated after a growing delay, up to ``attempts`` times; then the task is a
    dead letter. `Permanent` makes it one at once. `RetryLater` is no failure: it may be raised
    until ``give_up_after`` seconds after the first attempt began.

    A task runs in a unit of work whose commit also marks it done, so its effects in the database
    happen once; effects outside (a mail) may be repeated. It may therefore run more than once.
    """

    def declare(function: F) -> F:
        options = Options(queue, time_limit, attempts, priority, memory_mb, give_up_after)
        setattr(function, _ATTRIBUTE, options)
        return function

    return declare


def options_of(candidate: object) -> Options | None:
    """The options of a declared task, ``None`` for anything else."""
    return getattr(candidate, _ATTRIBUTE, None)
