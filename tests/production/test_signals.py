"""Signals as service managers and terminals send them: to all processes at once, at any time."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from tests.processes import PATIENCE, until
from tests.production.command import Command

ENDS = (signal.SIGTERM, signal.SIGINT)
COMMANDS = ("serve", "web", "stream", "front", "worker light", "scheduler", "background")


def url(trellis: Command) -> str:
    return f"http://127.0.0.1:{trellis.environ['TRELLIS_PORT']}/health"


def answers(trellis: Command, health: str = "live") -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(f"{url(trellis)}/{health}").status_code == 200
    return False


def thread_of_a_child(pid: int, number: signal.Signals) -> tuple[int, int]:
    """The child that has threads, and one that is not its main one and lets the signal through."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        for thread in Path(f"/proc/{child}/task").iterdir():
            blocked = re.search(r"SigBlk:\t(\w+)", (thread / "status").read_text())
            assert blocked
            if thread.name != child and not int(blocked[1], 16) & 1 << (number - 1):
                return int(child), int(thread.name)
    raise AssertionError(f"{pid} has no child with such a thread")


def ask(trellis: Command, statuses: set[int]) -> None:
    """One connection after the other until it says that it drains; no answer raises."""
    with httpx2.Client(headers={"Connection": "close"}, timeout=PATIENCE) as client:
        while 503 not in statuses:
            statuses.add(client.get(f"{url(trellis)}/ready").status_code)


@pytest.mark.parametrize("how", ENDS)
def test_a_group_that_is_told_to_end_drains(trellis: Command, how: signal.Signals) -> None:
    with trellis.running("web", TRELLIS_DRAIN_SECONDS="5") as process:
        # Readiness is 503 as well while the process has not heard of all it needs.
        until(lambda: answers(trellis, "ready"), "a process that is ready")
        told: list[set[int]] = [set() for _ in range(4)]
        with ThreadPoolExecutor(len(told)) as pool:
            clients = [pool.submit(ask, trellis, statuses) for statuses in told]
            until(lambda: all(200 in statuses for statuses in told), "answers for all")
            os.killpg(process.pid, how)
            for client in clients:
                client.result(PATIENCE)
        assert process.wait(PATIENCE) == 0
    assert told == [{200, 503}] * len(told)
    assert "Unexpected exit" not in trellis.output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a test choose the thread")
def test_a_web_process_drains_whichever_thread_is_told(trellis: Command) -> None:
    """The kernel may choose any; a busy process was seen not to drain, and to be killed."""
    with trellis.running("web") as process:
        until(lambda: answers(trellis, "ready"), "a process that is ready")
        worker, thread = thread_of_a_child(process.pid, signal.SIGUSR1)
        assert ctypes.CDLL(None).tgkill(worker, thread, signal.SIGUSR1) == 0
        until(lambda: not answers(trellis, "ready"), "a process that drains")
        assert answers(trellis, "live")


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("command", ["stream", "front"])
def test_a_group_that_serves_streams_ends_in_order(
    trellis: Command, command: str, how: signal.Signals
) -> None:
    with trellis.running(command) as process:
        until(lambda: answers(trellis), "a process that serves")
        os.killpg(process.pid, how)
        assert process.wait(PATIENCE) == 0
    assert "Unexpected exit" not in trellis.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_process_that_is_told_to_end_while_it_starts_has_ended_in_order(
    trellis: Command, tmp_path: Path, command: str
) -> None:
    """On a machine on which one of the imports takes for ever."""
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "flask.py").write_text(
        f"import pathlib, time\npathlib.Path({str(slow / 'began')!r}).touch()\n"
        f"time.sleep({PATIENCE})\n"
    )
    with trellis.running(*command.split(), PYTHONPATH=str(slow)) as process:
        until((slow / "began").exists, "the import")
        process.terminate()
        assert process.wait(PATIENCE) == 0
