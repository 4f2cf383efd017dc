"""Keeps what Locust measures, exactly: Locust's own statistics round to whole milliseconds."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from locust.event import Events


class Recorder:
    """Listens to the events of one run."""

    def __init__(self, events: Events) -> None:
        self._times: dict[str, list[float]] = defaultdict(list)
        self._sizes: dict[str, list[int]] = defaultdict(list)
        self._failures: dict[str, Counter[str]] = defaultdict(Counter)
        self._errors: Counter[str] = Counter()
        self._began = time.monotonic()
        self._seconds = 0.0
        events.request.add_listener(self._on_request)
        events.user_error.add_listener(self._on_error)
        events.test_stopping.add_listener(self._on_stopping)

    def forget_warm_up(self) -> None:
        """Begin to measure now; what failed before stays a failure."""
        for name in self._times:
            self._times[name].clear()
            self._sizes[name].clear()
        self._began = time.monotonic()

    def write(self, path: Path) -> None:
        """Leave the figures for the process that started us; see `trellis_perf.figures`."""
        names = [*self._times, *(self._failures.keys() - self._times.keys())]
        figures = {
            "seconds": self._seconds,
            "requests": {
                name: {
                    "milliseconds": self._times[name],
                    "bytes": self._sizes[name],
                    "failures": dict(self._failures[name]),
                }
                for name in names
            },
            "errors": dict(self._errors),
        }
        path.write_text(json.dumps(figures))

    def _on_request(
        self,
        *,
        name: str,
        response_time: float,
        response_length: int,
        exception: BaseException | None,
        **_: Any,
    ) -> None:
        if exception is not None:
            self._failures[name][str(exception)] += 1
        else:
            self._times[name].append(response_time)
            self._sizes[name].append(response_length)

    def _on_error(self, *, exception: BaseException, **_: Any) -> None:
        self._errors[f"{type(exception).__name__}: {exception}"] += 1

    def _on_stopping(self, **_: Any) -> None:
        self._seconds = time.monotonic() - self._began
