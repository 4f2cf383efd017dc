"""What the forks of a heavy worker leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from trellis.observe.metrics import forget_process


def test_an_ended_fork_leaves_no_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in ("counter_12.db", "histogram_12.db", "counter_112.db"):
        (tmp_path / name).touch()
    forget_process(12)
    assert [file.name for file in tmp_path.iterdir()] == ["counter_112.db"]
