"""Declaring a task: a function of a plugin's ``tasks.py`` that a worker runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

Queue = Literal["light", "heavy"]
QUEUES: tuple[Queue, ...] = ("light", "heavy")
F = TypeVar("F", bound=Callable[..., None])

_ATTRIBUTE = "__trellis_task__"


@dataclass(frozen=True)
class Options:
    """How a task is run."""

    queue: Queue = "light"
    time_limit: float = 30.0
    attempts: int = 8


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
    *, queue: Queue = "light", time_limit: float = 30.0, attempts: int = 8
) -> Callable[[F], F]:
    """Declare a function as the task ``<plugin>.<function name>``; its arguments are JSON values.

    ``light`` tasks are many and short and share a process; each ``heavy`` one gets a process of its
    own (decoding what strangers sent). ``time_limit`` is in seconds. A failed attempt is repeated
    after a growing delay, up to ``attempts`` times; then the task is a dead letter.

    A task runs in a unit of work whose commit also marks it done, so its effects in the database
    happen once; effects outside (a mail) may be repeated. It may therefore run more than once.
    """

    def declare(function: F) -> F:
        setattr(function, _ATTRIBUTE, Options(queue, time_limit, attempts))
        return function

    return declare


def options_of(candidate: object) -> Options | None:
    """The options of a declared task, ``None`` for anything else."""
    return getattr(candidate, _ATTRIBUTE, None)
