"""What the forks of a heavy worker leave behind, and what RQ says of what a worker left."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from rq.job import JobStatus
from rq.registry import StartedJobRegistry

from trellis.jobs import worker
from trellis.jobs.wake import rq_queue
from trellis.observe.metrics import forget_process


def test_an_ended_fork_leaves_no_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in ("counter_12.db", "histogram_12.db", "counter_112.db"):
        (tmp_path / name).touch()
    forget_process(12)
    assert [file.name for file in tmp_path.iterdir()] == ["counter_112.db"]


def test_a_wake_up_that_was_lost_with_its_worker_is_nothing_to_tell(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    assert worker.log  # as in a worker process
    redis = app.extensions["trellis"].redis
    queue = rq_queue("light", redis)
    job = queue.enqueue_call("drain")
    job.set_status(JobStatus.STARTED)
    registry = StartedJobRegistry(queue=queue)
    redis.zadd(registry.key, {f"{job.id}:of-a-worker-that-was-killed": 1})
    registry.cleanup()
    assert redis.zcard(registry.key) == 0
    assert caplog.records == []
