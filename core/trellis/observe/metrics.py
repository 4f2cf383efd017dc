"""Figures for Prometheus, and the view that hands them out."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, request
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from trellis.errors import NotFound, Unauthenticated
from trellis.runtime import runtime

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
    REQUESTS.labels(operation, status).inc()
    REQUEST_SECONDS.labels(operation).observe(seconds)
    STATEMENTS.labels(operation).inc(statements)


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


def add_view(app: Flask) -> None:
    """Serve `/metrics`."""
    from trellis.api.access import access

    app.add_url_rule("/metrics", view_func=access(public="guarded by metrics_token")(metrics))


def metrics() -> Response:
    """Hand the figures to whoever may see them."""
    core = runtime().settings.core
    if core.metrics_token is None:
        if core.environment == "production":
            raise NotFound
    elif not _carries(core.metrics_token.get_secret_value()):
        raise Unauthenticated
    body, content_type = page(request.headers.get("Accept", ""))
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    return response


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


def _carries(token: str) -> bool:
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
