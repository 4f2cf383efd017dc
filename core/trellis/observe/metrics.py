"""Figures for Prometheus: of each process, and of the queue that all share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("trellis_requests", "Answers given.", ["operation", "status"])
REQUEST_SECONDS = Histogram(
    "trellis_request_seconds", "Time to an answer's head.", ["operation"], buckets=_BUCKETS
)
STATEMENTS = Counter(
    "trellis_request_statements", "SQL statements executed for requests.", ["operation"]
)
TASKS = Counter("trellis_tasks", "Runs of tasks by how they ended.", ["task", "outcome"])
TASK_SECONDS = Histogram(
    "trellis_task_seconds", "Time of one run of a task.", ["task"], buckets=(*_BUCKETS, 30, 120)
)


def observe_request(operation: str, status: int, seconds: float, statements: int) -> None:
    """Count one answered request."""
    count, time, total = _of_operation(operation, status)
    count.inc()
    time.observe(seconds)
    if statements:
        total.inc(statements)


@lru_cache(maxsize=4096)
def _of_operation(operation: str, status: int) -> tuple[Counter, Histogram, Counter]:
    # Looking the three up takes longer than counting.
    return (
        REQUESTS.labels(operation, status),
        REQUEST_SECONDS.labels(operation),
        STATEMENTS.labels(operation),
    )


def observe_task(name: str, outcome: str, seconds: float) -> None:
    """Count one run of a task; `outcome` is one of a few words."""
    TASKS.labels(name, outcome).inc()
    TASK_SECONDS.labels(name).observe(seconds)


def forget_process(pid: int) -> None:
    """Remove what an ended process has left in PROMETHEUS_MULTIPROC_DIR, its figures with it."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for file in Path(directory).glob(f"*_{pid}.db") if directory else ():
        file.unlink(missing_ok=True)


class _WithQueue(Collector):
    """The figures of processes, and with them those of the queue, which all processes share."""

    def __init__(self, figures: CollectorRegistry) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        from trellis.jobs.gauges import queue_metrics  # jobs are counted by functions of this file

        yield from self._figures.collect()
        yield from queue_metrics()


def page(accept: str) -> tuple[bytes, str]:
    """The figures and their content type, in the form that suits an `Accept` header best.

    They are those of this process, or of all processes that share PROMETHEUS_MULTIPROC_DIR, and
    those of the queue.
    """
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encode, content_type = choose_encoder(accept)
    return encode(_WithQueue(registry)), content_type
