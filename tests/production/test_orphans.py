"""A process that is killed takes those along that it started: nobody else would ever end them."""

from __future__ import annotations

import signal
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from tests.processes import until
from tests.production.command import Command


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, children) for each in (child, *descendants(child))]


def answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def gone(process: Path) -> bool:
    return not process.exists()


@pytest.mark.parametrize("command", ["web", "stream", "worker light"])
def test_a_killed_parent_leaves_nobody_behind(trellis: Command, command: str) -> None:
    assert trellis("db", "upgrade").returncode == 0
    with trellis.running(*command.split()) as process:
        if command != "worker light":
            port = trellis.environ["TRELLIS_PORT"]
            until(partial(answers, port), "a process that serves")
        started = until(partial(descendants, process.pid), "what it starts")
        process.send_signal(signal.SIGKILL)
        process.wait()
        for pid in started:
            until(partial(gone, Path("/proc", str(pid))), "the end of all that it started")
