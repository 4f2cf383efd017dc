"""What this process keeps for itself, in front of Redis, and only while it hears what is stale."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

HEARD_SECONDS = 1.0
"""For so long after a look at the feed that was begun then, what is kept here counts."""

# What an entry takes besides its value: its key, its tags, and what Python needs for them.
_ENTRY_BYTES = 700
_MOST_DROPS = 10_000


@dataclass(slots=True)
class _Entry:
    value: Any
    size: int
    tags: Sequence[str]
    ends_at: float
    used: bool = False


class FirstLevel:
    """Values by key, each with tags (digests), within a bound of bytes; safe to share by threads.

    A value is offered with the `mark` that was taken before it was computed or read: it is not kept
    when one of its tags was dropped since. ``clock`` is in seconds and only goes forward.
    """

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}
        self._by_tag: defaultdict[str, set[Hashable]] = defaultdict(set)
        self._dropped: dict[str, int] = {}
        self._drops = self._forgotten = 0
        self._heard_until = 0.0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_on(self) -> bool:
        """Whether what is kept here counts now."""
        return self._clock() < self._heard_until

    def heard(self, began: float) -> None:
        """All was dropped that was known to be stale when the clock said ``began``."""
        self._heard_until = began + HEARD_SECONDS

    def get(self, key: Hashable) -> Any:
        """The value, or None."""
        # Without the lock: one look into a dict, and what is dropped meanwhile was good before.
        entry = self._entries.get(key)
        now = self._clock()
        if entry is None or now >= self._heard_until or now >= entry.ends_at:
            return None
        entry.used = True
        return entry.value

    def mark(self) -> int:
        """The present moment among the drops."""
        return self._drops

    def put(
        self, key: Hashable, value: Any, size: int, tags: Sequence[str], seconds: float, mark: int
    ) -> None:
        """Keep a value of so many bytes, unless it is outdated already or has no room."""
        size += _ENTRY_BYTES
        if seconds <= 0 or size > self._most // 8:
            return
        with self._lock:
            if any(self._dropped.get(tag, self._forgotten) > mark for tag in tags):
                return
            self._remove(key)
            while self.bytes + size > self._most:
                self._evict()
            self._entries[key] = _Entry(value, size, tags, self._clock() + seconds)
            self.bytes += size
            for tag in tags:
                self._by_tag[tag].add(key)

    def drop(self, tags: Iterable[str]) -> None:
        """Forget what carries one of the tags, and what is being computed under it."""
        with self._lock:
            self._drops += 1
            for tag in tags:
                self._dropped[tag] = self._drops
                for key in list(self._by_tag.get(tag, ())):
                    self._remove(key)
            if len(self._dropped) > _MOST_DROPS:
                self._dropped.clear()
                self._forgotten = self._drops  # of all tags alike, as far as is known

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._drops += 1
            self._forgotten = self._drops
            self._dropped.clear()
            self._entries.clear()
            self._by_tag.clear()
            self.bytes = 0

    def _evict(self) -> None:
        """Forget the oldest that nobody has asked for since its last turn ("clock")."""
        while True:
            key = next(iter(self._entries))
            entry = self._entries[key]
            if not entry.used or self._clock() >= entry.ends_at:
                self._remove(key)
                return
            entry.used = False
            self._entries[key] = self._entries.pop(key)

    def _remove(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.bytes -= entry.size
        for tag in entry.tags:
            keys = self._by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._by_tag[tag]
