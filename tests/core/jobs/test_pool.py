"""A parent of workers that is told to end while it still starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys
from trellis.app import create_app
from trellis.jobs.pool import run_forked

class Runs(dict):
    def __iter__(self):
        yield "first"
        os.kill(os.getpid(), signal.SIGTERM)
        yield "second"
        yield "third"

sys.exit(run_forked(create_app(), Runs.fromkeys(["first", "second", "third"], signal.pause)))
"""


@pytest.mark.usefixtures("app_environ")
def test_what_is_started_after_the_signal_ends_as_well(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
