from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trellis.local import sessions

if TYPE_CHECKING:
    from tests.core.local.conftest import Processes

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1:] == ["parent"]:
    subprocess.Popen([sys.executable, "-c", os.environ["CODE"]], process_group=0)
print("begun", flush=True)
time.sleep(60)
"""


@pytest.fixture
def stubborn_family(monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """A child and its child in another process group, both deaf to SIGTERM."""
    monkeypatch.setenv("CODE", STUBBORN)
    child = sessions.spawn([sys.executable, "-c", STUBBORN, "parent"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        assert [output.readline() for _ in range(2)] == [b"begun\n"] * 2
    return child


def test_a_session_holds_a_child_and_what_it_started(
    stubborn_family: subprocess.Popen[bytes],
) -> None:
    found = sessions.members(stubborn_family.pid)

    assert len(found) == 2
    assert stubborn_family.pid in found
    if shutil.which("ps"):
        assert sorted(found) == sorted(sessions._members_by_ps(stubborn_family.pid))
    sessions.end(stubborn_family, within=0)


def test_end_kills_what_is_deaf_to_sigterm(stubborn_family: subprocess.Popen[bytes]) -> None:
    sessions.end(stubborn_family, within=0.1)

    assert sessions.members(stubborn_family.pid) == []
    assert stubborn_family.returncode == -signal.SIGKILL


def test_a_child_has_the_signals_of_a_fresh_program() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("reads /proc")
    child = sessions.spawn(["grep", "SigIgn", "/proc/self/status"], stdout=subprocess.PIPE)
    output, _ = child.communicate()

    # The classic signals, 1 to 31: what lies above belongs to whoever runs the tests.
    assert int(output.split()[1], 16) & 0x7FFF_FFFF == 0


def test_a_program_that_does_not_exist_is_told() -> None:
    child = sessions.spawn(["/no/such/program"], stdout=subprocess.PIPE)
    output, _ = child.communicate()

    assert output == b"/no/such/program cannot be started: No such file or directory\n"
    assert child.returncode == 1


def test_a_child_ends_itself_when_its_launcher_ended_before_it_began() -> None:
    command = [*sessions._PROGRAM, "become", str(os.getpid() + 1), "sh", "-c", "echo alive"]
    answer = subprocess.run(command, capture_output=True, check=False)

    assert (answer.returncode, answer.stdout) == (1, b"")


LAUNCHER = f"""
import os, sys, time
from trellis.local import sessions
os.environ["CODE"] = code = {STUBBORN!r}
guard = sessions.Guard()
child = sessions.spawn([sys.executable, "-c", code, "parent"], stdout=1)
guard.watch(child.pid)
print("guard", guard._process.pid, flush=True)
time.sleep(60)
"""


def test_a_killed_launcher_takes_a_deaf_family_with_it(
    processes: Processes, eventually: Callable[..., None]
) -> None:
    launcher = processes.run(LAUNCHER)
    eventually(lambda: launcher.output.count("begun") == 2)
    assert len(processes.running()) == 4  # launcher, guard, child and grandchild

    launcher.process.kill()

    eventually(lambda: processes.running() == [], within=sessions.ORPHAN_GRACE + 2)


def test_a_guard_keeps_its_post_when_it_is_signalled(
    processes: Processes, eventually: Callable[..., None]
) -> None:
    launcher = processes.run(LAUNCHER)
    eventually(lambda: launcher.output.count("\n") == 3)
    guard = int(launcher.output.split("guard ")[1].split()[0])

    os.kill(guard, signal.SIGTERM)
    launcher.process.kill()

    eventually(lambda: processes.running() == [], within=sessions.ORPHAN_GRACE + 2)
