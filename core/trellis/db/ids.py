"""Ids that sort by the time at which they were made (UUID version 7, RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID


class _Ticks:
    """48 bits of milliseconds and 12 of the fraction (RFC 9562 section 6.2, method 3)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The time, or the last value plus one when the clock has not moved or has moved back."""
        with self._lock:
            self._last = max((time.time_ns() << 12) // 1_000_000, self._last + 1)
            return self._last


_ticks = _Ticks()


def new_id() -> UUID:
    """A new id; ids of one process are strictly ascending, also within a millisecond."""
    ticks = _ticks.next()
    random = int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    value = (ticks >> 12 & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64
    return UUID(int=value | 0x2 << 62 | random)
