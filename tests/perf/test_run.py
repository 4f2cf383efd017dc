"""Real runs against really started servers, and what the application must not import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from trellis_perf.figures import read_metrics
from trellis_perf.server import Server, own_server

TRELLIS = [sys.executable, "-m", "trellis"]
SMOKE = [*TRELLIS, "perf", "run", "smoke", "--seconds", "3"]


def counts(report: str) -> dict[str, tuple[int, int]]:
    """Row to good and failed requests."""
    rows = re.findall(r"^ (\S.*?)  +(\d+)  +(\d+)  ", report, re.MULTILINE)
    return {name: (int(good), int(failed)) for name, good, failed in rows}


def test_the_application_does_not_import_the_load_generator() -> None:
    program = (
        "import sys, trellis.app; trellis.app.create_app();"
        "sys.exit(bool({'locust', 'gevent', 'trellis_perf'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_command_does_not_import_the_load_generator() -> None:
    program = (
        "import sys, trellis_perf.cli, trellis_perf.run, trellis_perf.server, trellis_perf.report;"
        "sys.exit(bool({'locust', 'gevent'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_plugin_brings_users_to_a_server_that_has_it() -> None:
    program = (
        "import sys; from trellis_perf.scenarios import user_classes\n"
        "for plugin in sys.argv[1:]:\n"
        "    print(*{user.__module__ for user in user_classes({plugin}, mailbox=False)})"
    )
    plugins = ["auth", "media", "notifications", "analytics", "webhooks"]
    run = subprocess.run(
        [sys.executable, "-c", program, *plugins], capture_output=True, text=True, check=True
    )
    for plugin, brought in zip(plugins, run.stdout.splitlines(), strict=True):
        assert set(brought.split()) == {f"trellis_{plugin}.perf", "trellis_perf.scenarios"}


@pytest.mark.nightly
def test_a_run_starts_a_server_loads_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "TRELLIS_DATABASE_URL": "sqlite:////nowhere/x.db",
    }
    run = subprocess.run(
        SMOKE, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    rows = counts(run.stdout)
    assert "nothing failed, and there is no budget" in run.stdout
    assert rows["reference"][0] > 0
    assert sum(good for name, (good, _) in rows.items() if "_" in name) > 0, run.stdout
    assert not [name for name, (_, failed) in rows.items() if failed], run.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def server() -> Iterator[Server]:
    with own_server(people=3) as server:
        yield server


def test_a_server_that_is_stopped_in_mid_run_fails_it_with_a_table(
    server: Server, tmp_path: Path
) -> None:
    command = [*SMOKE, "--against", server.url, "--people", str(server.people)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as run:
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"{server.url}/metrics") as response:
                served = read_metrics(response.read().decode())
            if "GET /health/live" in served and "GET /v1/media/assets" in served:
                break
            assert time.monotonic() < deadline, "the load never came"
            time.sleep(0.05)
        server.process.terminate()
        report, _ = run.communicate(timeout=120)
    assert run.returncode == 1, report
    assert counts(report)["reference"][1] > 0
    assert re.search(r"✗ reference: \d+ of \d+ failed", report)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--against", "http://127.0.0.1:9"], "--against needs --people"),
        (["--against", "http://127.0.0.1:9", "--people", __file__], "No Trellis answers"),
        (["--budgets", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--environment", "moon"], "moon.toml cannot be read"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_sentence(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    run = subprocess.run(
        [*SMOKE, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr


def test_the_scenarios_also_run_under_locusts_own_page() -> None:
    locustfile = Path(__file__).parents[2] / "perf" / "locustfile.py"
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--people", "x", "--list"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"Journey", "Reference"} <= set(run.stdout.split())
