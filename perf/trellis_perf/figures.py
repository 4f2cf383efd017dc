"""What a run measured, as rows: times, failures, bytes, and the service's own statement counts."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from trellis_perf.operations import Operation, route_of

REFERENCE = "reference"
JOURNEY = "journey: "
"""Before the title of a step of the journey, in the name of its row."""


@dataclass(frozen=True)
class Row:
    """One kind of request. Times are in milliseconds; ``ratio_`` are multiples of the reference's.

    ``count`` are the good answers, ``statements`` the mean of SQL statements for a request,
    ``bytes`` the median of bodies.
    """

    name: str
    count: int
    failures: Mapping[str, int]
    p50: float | None
    p95: float | None
    p99: float | None
    ratio_p50: float | None
    ratio_p95: float | None
    bytes: int | None
    statements: float | None

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(self.failures.values())


@dataclass(frozen=True)
class Figures:
    """A whole run; ``errors`` are faults of the scenarios themselves."""

    seconds: float
    rows: tuple[Row, ...]
    errors: Mapping[str, int]

    @property
    def by_name(self) -> dict[str, Row]:
        """The rows by their names."""
        return {row.name: row for row in self.rows}


@dataclass(frozen=True)
class Served:
    """How many requests of a route a server has answered, and with how many statements."""

    requests: float = 0
    statements: float = 0

    def since(self, before: Served) -> float | None:
        """Statements for one request since an earlier count."""
        requests = self.requests - before.requests
        return (self.statements - before.statements) / requests if requests > 0 else None


def read_metrics(text: str) -> dict[str, Served]:
    """The counts in a page of ``/metrics``, by route."""
    requests: dict[str, float] = defaultdict(float)
    statements: dict[str, float] = defaultdict(float)
    counters = {
        "trellis_requests_total": requests,
        "trellis_request_statements_total": statements,
    }
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in counters:
                counters[sample.name][route_of(sample.labels["operation"])] += sample.value
    return {route: Served(requests[route], statements[route]) for route in requests}


def read_figures(path: Path, statements: Mapping[str, float]) -> Figures:
    """Rows of what the load generator left, with statements for a request by row."""
    measured = json.loads(path.read_text())
    requests: Mapping[str, Mapping[str, Any]] = measured["requests"]
    reference = sorted(requests.get(REFERENCE, {}).get("milliseconds", ()))
    rows = (
        _row(name, figures, reference, statements.get(name)) for name, figures in requests.items()
    )
    return Figures(measured["seconds"], tuple(rows), measured["errors"])


def statements_of(
    operations: Iterable[Operation], before: Mapping[str, Served], after: Mapping[str, Served]
) -> dict[str, float]:
    """Statements for one request of each operation, between two looks at the metrics."""
    found = {
        operation.id: after.get(operation.route, Served()).since(
            before.get(operation.route, Served())
        )
        for operation in operations
    }
    return {name: mean for name, mean in found.items() if mean is not None}


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _row(
    name: str,
    figures: Mapping[str, Any],
    reference: Sequence[float],
    statements: float | None,
) -> Row:
    times = sorted(figures["milliseconds"])
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    return Row(
        name=name,
        count=len(times),
        failures=figures["failures"],
        p50=p50,
        p95=p95,
        p99=p99,
        ratio_p50=_ratio(p50, percentile(reference, 0.5)),
        ratio_p95=_ratio(p95, percentile(reference, 0.95)),
        bytes=round(median(figures["bytes"])) if figures["bytes"] else None,
        statements=statements,
    )


def _ratio(time: float | None, reference: float | None) -> float | None:
    return time / reference if time is not None and reference else None
