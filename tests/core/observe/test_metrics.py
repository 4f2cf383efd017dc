"""What is counted, and who may see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from tests.core.observe.conftest import MakeApp

from trellis.observe.metrics import observe_task


def figures(client: FlaskClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, sorted."""
    page = client.get("/metrics", headers={key.title(): value for key, value in headers.items()})
    assert page.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_operation(client: FlaskClient) -> None:
    before = figures(client)
    for path in ("/things/1", "/things/2", "/refused", "/nowhere", "/elsewhere"):
        client.get(path)
    after = figures(client)

    def grown(*key: str) -> float:
        place = (key[0], *sorted(key[1:]))
        return after[place] - before.get(place, 0)

    operation = "GET /things/<int:number>"
    assert grown("trellis_requests_total", operation, "200") == 2
    assert grown("trellis_request_seconds_count", operation) == 2
    assert grown("trellis_request_statements_total", operation) == 3
    assert grown("trellis_requests_total", "GET /refused", "409") == 1
    assert grown("trellis_requests_total", "unmatched", "404") == 2


def test_tasks_are_counted_by_outcome(client: FlaskClient) -> None:
    observe_task("media.make", "done", 0.2)
    after = figures(client)
    assert after["trellis_tasks_total", "done", "media.make"] == 1
    assert after["trellis_task_seconds_sum", "media.make"] == pytest.approx(0.2)


def test_a_token_guards_them(make_app: MakeApp) -> None:
    client = make_app(TRELLIS_METRICS_TOKEN="let-me-see").test_client()
    for given in ("", "Bearer", "Bearer let-me", "Basic let-me-see", "Bearer lét-me-see"):
        assert client.get("/metrics", headers={"Authorization": given}).status_code == 401
    assert figures(client, authorization="Bearer let-me-see")


def test_production_shows_none_without_a_token(make_app: MakeApp) -> None:
    production = {
        "TRELLIS_ENVIRONMENT": "production",
        "TRELLIS_SECRET_KEYS": "k" * 32,
        "TRELLIS_PUBLIC_URL": "https://api.example.org",
        "TRELLIS_DATABASE_URL": "sqlite://",
        "TRELLIS_REDIS_URL": "redis://cache",
        "TRELLIS_STORAGE_URL": "s3://files",
    }
    client = make_app(**production).test_client()
    assert client.get("/metrics").status_code == 404


def test_processes_that_share_a_directory_are_added_up(tmp_path: Path) -> None:
    code = (
        "from prometheus_client import CollectorRegistry, generate_latest;"
        "from prometheus_client.multiprocess import MultiProcessCollector;"
        "from trellis.observe.metrics import observe_task;"
        "observe_task('media.make', 'done', 1.0); registry = CollectorRegistry();"
        "MultiProcessCollector(registry); print(generate_latest(registry).decode())"
    )
    environ = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    texts = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    ]
    line = 'trellis_tasks_total{outcome="done",task="media.make"} %.1f'
    assert [line % number in texts[number - 1] for number in (1, 2)] == [True, True]
