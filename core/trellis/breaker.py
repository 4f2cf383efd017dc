"""A circuit breaker: after some failures in a row nobody asks for a while, then one caller does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Opens after `failures` in a row, for `pause` seconds; safe to share between threads."""

    def __init__(
        self, failures: int, pause: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Whether to try now. After a pause one caller is let through, the next after another."""
        with self._lock:
            if self._failures < self._limit:
                return True
            if self._clock() < self._open_until:
                return False
            self._open_until = self._clock() + self._pause
            return True

    def succeeded(self) -> None:
        """The call worked: everybody may try again."""
        self._failures = 0

    def failed(self) -> None:
        """The call failed."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._limit:
                self._open_until = self._clock() + self._pause
