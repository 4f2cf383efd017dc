"""Ids that sort by the time at which they were made (UUID version 7, RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A new id; ids of one process are strictly ascending, also within a millisecond."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 of the fraction (RFC 9562 section 6.2, method 3); the last
        # value plus one when the clock has not moved, or has moved back.
        ticks = (time.time_ns() << 12) // 1_000_000
        _last = ticks = max(ticks, _last + 1)
    random = int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    value = (ticks >> 12 & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64
    return UUID(int=value | 0x2 << 62 | random)
