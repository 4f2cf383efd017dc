"""Real processes for the tests of the local room, which are found again by where they run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import trellis


@dataclass
class Program:
    """A Python program that a test started; its output goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()


class Processes:
    """Starts programs in a directory, and knows what runs in it: they and all that they started.

    (A server writes its title over its arguments and its environment: these would not find it.)
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._programs: list[Program] = []

    def run(self, code: str, *arguments: str, stdout: int | None = None) -> Program:
        """Start a program as a terminal does: as the leader of a process group of its own."""
        log = self._directory / f"program-{len(self._programs)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                cwd=self._directory,
                env={**os.environ, "PYTHONPATH": str(Path(trellis.__file__).parents[1])},
                stdout=file if stdout is None else stdout,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        program = Program(process, log)
        self._programs.append(program)
        return program

    def running(self) -> list[int]:
        """The pids of all processes that run in our directory or below it; ours is left out."""
        found = []
        for place in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):  # it has ended, or it is a zombie and is nowhere
                if place.readlink().is_relative_to(self._directory):
                    found.append(int(place.parent.name))
        return [pid for pid in found if pid != os.getpid()]

    def end(self) -> None:
        for pid in self.running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for program in self._programs:
            program.process.wait()


@pytest.fixture(autouse=True)
def _runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place for sockets, with a shorter path than `tmp_path`, that goes with the test."""
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("finds processes in /proc")
    processes = Processes(tmp_path)
    yield processes
    processes.end()


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(condition: Callable[[], object], within: float = 10) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"not within {within} seconds"
            time.sleep(0.01)

    return wait
