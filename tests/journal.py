"""What clients were told, and when: the measure of what must be there after a fault."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Call:
    """One thing that a phone wants, over all its tries; times are those of time.monotonic()."""

    operation: str
    key: str
    """The same for every try: what it sends as Idempotency-Key."""

    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    """When it was acknowledged."""

    answers: list[int] = field(default_factory=list)
    """The status of every answer; 0 where the connection ended without one."""


class Journal:
    """Every call of every client; may be written from many threads."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self.faults: list[str] = []
        """Answers that no client should ever get, in words."""

    @contextmanager
    def call(self, operation: str, key: str) -> Iterator[Call]:
        """Note a call, which is acknowledged when the block ends without an error."""
        call = Call(operation, key)
        with self._lock:
            self._calls.append(call)
        yield call
        call.ended = time.monotonic()

    def blame(self, fault: str) -> None:
        """Note an answer that breaks a promise."""
        with self._lock:
            self.faults.append(fault)

    @property
    def calls(self) -> list[Call]:
        """All so far, in the order in which they began."""
        with self._lock:
            return list(self._calls)

    def acknowledged(self, since: float = 0.0) -> Counter[str]:
        """How many calls that began since a time were acknowledged, by operation."""
        return Counter(
            call.operation for call in self.calls if call.began >= since and call.ended is not None
        )

    def answers(self) -> Counter[int]:
        """How often each status was given, tries that were repeated included."""
        return Counter(status for call in self.calls for status in call.answers)

    def slowest(self) -> float:
        """Seconds from the beginning of a call to its acknowledgement, at most."""
        return max(
            (call.ended - call.began for call in self.calls if call.ended is not None), default=0.0
        )
