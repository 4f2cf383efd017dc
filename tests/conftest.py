"""Fixtures shared by all tests; those of `trellis.testing.plugin` come with the installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from trellis.runtime import Runtime
from trellis.task import Options, Task
from trellis.testing.plugin import on_postgresql

Declare = Callable[..., str]

# Modules beside the tests whose asserts should say as much as theirs.
pytest.register_assert_rewrite("tests.faults", "tests.patient", "tests.processes")

# A distribution of its own: its tests run where it is installed (contract/test_example_plugin.py).
collect_ignore = ["example_plugin"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Two for each core: half of the time a test waits. Those of the night keep a core busy."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or config.getoption("-m") == "nightly":
        return None
    return 2 * (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What does not use the database of the fixtures is no other test on PostgreSQL."""
    if on_postgresql(config):
        uses = {"trellis_environment", "database_options"}
        left_out = [item for item in items if not uses & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def database_options(pytestconfig: pytest.Config) -> list[str]:
    """What has other tests run on the database of these."""
    if url := pytestconfig.getoption("--postgresql-url"):
        return [f"--postgresql-url={url}"]
    return ["--postgresql"] if on_postgresql(pytestconfig) else []


@pytest.fixture
def declare_task(app: Flask) -> Iterator[Declare]:
    """``declare_task(function, queue=…, attempts=…)`` declares a task for one test; its name."""
    runtime: Runtime = app.extensions["trellis"]
    declared: list[str] = []

    def declare(function: Callable[..., None], **options: Any) -> str:
        name = f"core.{function.__name__}"
        runtime.tasks[name] = Task(name, function, Options(**options))
        declared.append(name)
        return name

    yield declare
    for name in declared:
        runtime.tasks.pop(name, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After a run with faults: what each of them cost, in a table."""
    from tests.faults.report import table

    reports = [report for each in terminalreporter.stats.values() for report in each]
    rows = table(report for report in reports if isinstance(report, pytest.TestReport))
    if rows:
        terminalreporter.section("faults")
        for row in rows:
            terminalreporter.write_line(row)
