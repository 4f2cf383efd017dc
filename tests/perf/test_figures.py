"""From what was measured to rows: percentiles, ratios, statements, and which operation is which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from trellis_perf.figures import Served, percentile, read_figures, read_metrics, statements_of
from trellis_perf.operations import operations_of, route_of


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([7], 0.99, 7),
        ([1, 2, 3, 4], 0.5, 2),
        (range(1, 101), 0.95, 95),
        (range(1, 101), 0.99, 99),
        (range(1, 11), 0.95, 10),
    ],
)
def test_a_percentile_is_a_measured_value(
    values: Any, share: float, expected: float | None
) -> None:
    assert percentile(list(values), share) == expected


def left(path: Path, requests: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"seconds": 60.0, "requests": requests, "errors": {}}))
    return path


def test_times_are_multiples_of_the_reference_and_bytes_the_median(tmp_path: Path) -> None:
    path = left(
        tmp_path / "figures.json",
        {
            "reference": {"milliseconds": [2, 2, 2, 8], "bytes": [16] * 4, "failures": {}},
            "media_get_asset": {
                "milliseconds": [9, 5, 5], "bytes": [90, 30, 30], "failures": {"500": 2},
            },
        },
    )  # fmt: skip
    figures = read_figures(path, {"media_get_asset": 1.25})
    row = figures.by_name["media_get_asset"]
    assert (row.p50, row.p95, row.ratio_p50, row.ratio_p95) == (5, 9, 2.5, 9 / 8)
    assert (row.count, row.failed, row.bytes, row.statements) == (3, 2, 30, 1.25)


def test_a_row_without_answers_or_without_a_reference_has_no_ratio(tmp_path: Path) -> None:
    nothing = {"milliseconds": [], "bytes": [], "failures": {"refused": 4}}
    something = {"milliseconds": [5], "bytes": [1], "failures": {}}
    path = left(tmp_path / "figures.json", {"a": nothing, "b": something})
    rows = read_figures(path, {}).by_name
    assert (rows["a"].p50, rows["a"].ratio_p50, rows["a"].bytes) == (None, None, None)
    assert (rows["b"].p50, rows["b"].ratio_p50, rows["b"].statements) == (5, None, None)


def test_statements_of_real_requests_are_found(app: Flask, client: FlaskClient) -> None:
    operations = operations_of(client.get("/v1/openapi.json").get_json())
    before = read_metrics(client.get("/metrics").text)
    for _ in range(2):
        client.get("/v1/erasures/00000000-0000-7000-8000-000000000000")
    found = statements_of(operations.values(), before, read_metrics(client.get("/metrics").text))
    assert set(found) == {"core_get_erasure"}
    assert found["core_get_erasure"] > 0


def test_every_operation_has_a_route_that_metrics_label(app: Flask, client: FlaskClient) -> None:
    labels = {
        route_of(f"{method} {rule.rule}")
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    operations = operations_of(client.get("/v1/openapi.json").get_json())
    assert {operation.route for operation in operations.values()} <= labels
    assert all(operation.answers for operation in operations.values())


def test_a_server_that_counts_from_zero_again_gives_no_mean() -> None:
    assert Served(requests=5, statements=5).since(Served(requests=9, statements=9)) is None
