"""The queue's figures for Prometheus: one query of the database, kept for a few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy.exc import SQLAlchemyError

from trellis.jobs.operate import TaskStatistics, statistics

log = structlog.get_logger(__name__)

_KEEP_SECONDS = 5.0

GAUGES = {
    "trellis_jobs_waiting": ("waiting", "Jobs that are due and run nowhere."),
    "trellis_jobs_delayed": ("delayed", "Jobs that are due later."),
    "trellis_jobs_running": ("running", "Jobs that are being run."),
    "trellis_jobs_failing": ("failing", "Jobs with a failed attempt that will be tried again."),
    "trellis_jobs_dead": ("dead", "Jobs that were given up."),
    "trellis_jobs_oldest_seconds": (
        "oldest_seconds",
        "How long the oldest job that runs nowhere has been due.",
    ),
}
"""Metric to the figure of `TaskStatistics` and what it tells; each by task and queue."""


class _Kept:
    """The latest answer: several who ask at once, or too often, cost the database one query."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._rows: list[TaskStatistics] = []

    def rows(self) -> list[TaskStatistics]:
        with self._lock:
            if time.monotonic() > self._until:
                self._rows = statistics()
                self._until = time.monotonic() + _KEEP_SECONDS
            return self._rows


_kept = _Kept()


def queue_metrics() -> Iterator[Metric]:
    """The figures; none while the database is away, as old ones would look well."""
    try:
        rows = _kept.rows()
    except SQLAlchemyError as error:
        log.warning("queue_not_measured", error=type(error).__name__)
        return
    for name, (figure, told) in GAUGES.items():
        family = GaugeMetricFamily(name, told, labels=["task", "queue"])
        for row in rows:
            family.add_metric([row.task, row.queue], getattr(row, figure))
        yield family
