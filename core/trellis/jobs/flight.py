"""What a process runs at this moment, in memory that its parent sees too, also after its death."""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass
from uuid import UUID

import msgspec
import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from trellis.jobs.failure import describe_exit, fail
from trellis.observe.metrics import observe_task
from trellis.outbox.lease import Claim
from trellis.runtime import runtime

log = structlog.get_logger(__name__)

_BYTES = 4096


@dataclass(frozen=True)
class Ended:
    """A run that came to its end."""

    task: str
    outcome: str
    seconds: float


class Flight:
    """The latest run of a process: under way (a `Claim`, without its arguments) or `Ended`."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _BYTES)

    def begin(self, held: Claim) -> None:
        """Note that a row is being run."""
        self._note([held.id, held.task, held.fence, held.attempt, held.age])

    def end(self, ended: Ended) -> None:
        """Note how the run ended."""
        self._note([ended.task, ended.outcome, ended.seconds])

    def latest(self) -> Claim | Ended | None:
        """What was noted last."""
        length = int.from_bytes(self._memory[:2])
        try:
            noted = msgspec.json.decode(self._memory[2 : 2 + length] or b"null")
        except msgspec.DecodeError:
            return None  # it died while it wrote
        if noted is None:
            return None
        return Ended(*noted) if len(noted) == 3 else _claim(*noted)

    def _note(self, values: list[object]) -> None:
        text = msgspec.json.encode(values)
        self._memory[2 : 2 + len(text)] = text
        self._memory[:2] = len(text).to_bytes(2)


def _claim(row_id: str, task: str, fence: int, attempt: int, age: float) -> Claim:
    return Claim(UUID(row_id), task, {}, fence, attempt, age)


class _Process:
    """What a process is; whoever forks gives the child a flight that it keeps in view itself."""

    flight = Flight()
    runs = 0
    stopping = threading.Event()
    """Set when a worker was asked to stop: no further row is begun."""


process = _Process()


def account_for(app: Flask, flight: Flight, code: int) -> None:
    """Fail the run that a process was in the middle of when it ended with this exit code."""
    latest = flight.latest()
    if not isinstance(latest, Claim):
        return
    reason = describe_exit(code)
    log.error("task_crashed", task=latest.task, job=str(latest.id), reason=reason)
    outcome = "failed"
    try:
        with app.app_context():
            outcome = fail(runtime().tasks[latest.task], latest, None, reason)
    except SQLAlchemyError as error:
        # The row comes back by itself when its lease has run out.
        log.warning("crash_not_recorded", error=type(error).__name__)
    observe_task(latest.task, outcome, 0.0)
