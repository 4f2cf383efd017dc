"""What a wake-up makes a worker do: claim rows, hold their leases, run them."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import wraps

import structlog
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trellis.db.faults import fault_of
from trellis.feed.sequencer import sequence
from trellis.jobs.flight import Ended, process
from trellis.jobs.keeper import kept
from trellis.jobs.limits import limit_memory
from trellis.jobs.together import run_next
from trellis.jobs.wake import LIGHT_KEY, wake_feed, wake_light
from trellis.observe.metrics import observe_task
from trellis.outbox.lease import Claim, claim_abandoned, claim_any, claim_fresh, release
from trellis.runtime import runtime
from trellis.task import PRIORITIES

log = structlog.get_logger(__name__)

# A drain ends after this time and wakes the next one, so that a worker recycles and stops in time.
_DRAIN_SECONDS = 20.0

_FIRST_BATCH = 8
_LARGEST_BATCH = 64
_BATCH_SECONDS = 0.5
_LOOK_SECONDS = 1.0

# One claim in so many begins with the lowest priority: a flood of high ones starves nobody.
_TURN_OF_THE_LAST = 8


class _Batch:
    """How many rows are claimed at once: many quick ones, but slow ones are left to others."""

    size = _FIRST_BATCH

    def took(self, seconds: float, full: bool) -> None:
        if seconds > _BATCH_SECONDS:
            self.size = max(1, self.size // 2)
        elif full and seconds < _BATCH_SECONDS / 2:
            self.size = min(_LARGEST_BATCH, self.size * 2)


class _Abandoned:
    """Rows whose lease ran out: leases are long, and a look costs as much as a quick run."""

    _again = 0.0

    def claim(self) -> Claim | None:
        if time.monotonic() < self._again:
            return None
        held = claim_abandoned("light")
        if held is None:
            self._again = time.monotonic() + _LOOK_SECONDS
        return held


_batch = _Batch()
_abandoned = _Abandoned()


def _tolerant(wake_up: Callable[[], None]) -> Callable[[], None]:
    """What is away is told in one line; the sweep wakes again when it is back."""

    @wraps(wake_up)
    def tolerant() -> None:
        try:
            wake_up()
        except RedisError as error:
            log.warning("broker_away", error=str(error))
        except SQLAlchemyError as error:
            fault = fault_of(error)
            if fault is None:
                raise
            log.warning("database_away", fault=fault.value, error=type(error).__name__)

    return tolerant


@_tolerant
def drain() -> None:
    """Run every light row that is due."""
    # First, so that a row committed from now on wakes a worker again.
    runtime().redis.delete(LIGHT_KEY)
    until = time.monotonic() + _DRAIN_SECONDS
    for claims in _light_batches():
        for ended in _run_all(claims):
            observe_task(ended.task, ended.outcome, ended.seconds)
        if time.monotonic() > until:
            wake_light(runtime().redis)
            break
    _announce_feed()


@_tolerant
def run_heavy() -> None:
    """Run the next heavy row in this process, which ends after it; its parent counts the run."""
    held = claim_any("heavy", _first_priority())
    if held is not None:
        limit_memory(runtime().tasks[held.task].options.memory_mb)
        _run_all([held])
        _announce_feed()
        runtime().announcer.settle()  # the process ends with this wake-up


WAKE_UPS: dict[str, Callable[[], None]] = {"drain": drain, "run": run_heavy}


def _light_batches() -> Iterator[Sequence[Claim]]:
    while not process.stopping.is_set():
        # Each by itself: it may be what ended the process of the rows around it.
        if held := _abandoned.claim():
            yield [held]
            continue
        size = _batch.size
        claims = claim_fresh("light", size, _first_priority())
        full = len(claims) == size
        if full:
            with suppress(RedisError):  # what was claimed is run all the same
                wake_light(runtime().redis)  # there is more: for others to join
        if claims:
            began = time.monotonic()
            yield claims
            _batch.took(time.monotonic() - began, full)
        if not full:
            break


def _first_priority() -> int | None:
    return PRIORITIES["low"] if random.randrange(_TURN_OF_THE_LAST) == 0 else None


def _run_all(claims: Sequence[Claim]) -> list[Ended]:
    ended: list[Ended] = []
    waiting = deque(claims)
    with kept(claims) as unfinished:
        while waiting:
            first = list(waiting)
            if process.stopping.is_set():
                release(waiting.popleft())
            else:
                ended += run_next(waiting)
            for held in first[: len(first) - len(waiting)]:
                del unfinished[held.id]
    return ended


def _announce_feed() -> None:
    """Tasks publish events: give them their place at once, not at the next sweep."""
    if sequence():
        wake_feed(runtime().redis)
