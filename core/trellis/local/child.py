"""One supervised process: how it is described, started, listened to and buried."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from trellis.local import sessions

STEADY_SECONDS = 3.0
"""A process that ran this long was no false start."""

FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True)
class ProcessSpec:
    """A process to run: `name` stands before its output, `env` is added to our own environment.

    `ready` is asked until it first says True, and must answer within a second. `before` runs before
    each start. `pass_fds` are file descriptors that the process keeps.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    before: Callable[[], None] | None = None
    pass_fds: Sequence[int] = ()


class Child:
    """The process of one spec over all its starts; at most one runs at a time."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.name = spec.name
        self.settled = False
        """It was ready once, or steady: from now on its end is an accident and no false start."""
        self.failures = 0
        """How often in succession it failed without having been steady in between."""
        self.start_at = 0.0
        """When to start it (again), in seconds of time.monotonic()."""
        self.last_line = ""
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._unfinished = b""

    @property
    def running(self) -> bool:
        """It was started and is not buried yet."""
        return self._process is not None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        if self._process is None:
            raise ValueError(f"{self.name} is not running")
        return self._process

    @property
    def output(self) -> IO[bytes]:
        """The pipe that carries what the running process writes."""
        pipe = self.process.stdout
        assert pipe is not None
        return pipe

    def start(self) -> None:
        """Start the process."""
        if self._spec.before is not None:
            self._spec.before()
        self._started_at = time.monotonic()
        self._process = sessions.spawn(
            self._spec.argv,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._spec.env},
            stdout=subprocess.PIPE,
            pass_fds=self._spec.pass_fds,
        )
        os.set_blocking(self.output.fileno(), False)

    def has_started(self) -> bool:
        """Whether what depends on this process may start."""
        if self.settled or not self.running:
            return self.settled
        if self._spec.ready is None:
            return True
        self.settled = self._spec.ready()
        return self.settled

    def read(self) -> list[str] | None:
        """The lines that a readable `output` holds, or None when no more will come."""
        chunk = os.read(self.output.fileno(), _LONGEST_LINE)
        return self._lines(chunk) if chunk else None

    def bury(self) -> tuple[int, list[str]]:
        """Kill what is left of it and of all that it started; gives its exit code and last lines.

        Sets when to start it again: soon after exit code 0 (a worker that makes room for a fresh
        one), else after a delay that grows while it fails without having been steady.
        """
        sessions.kill(self.process.pid)
        code = self.process.wait()
        lines = []
        with suppress(BlockingIOError):
            while chunk := os.read(self.output.fileno(), _LONGEST_LINE):
                lines += self._lines(chunk)
        lines += self._lines(b"\n")
        self.output.close()
        self._process = None
        self._plan_restart(failed=code != 0)
        return code, lines

    def _plan_restart(self, *, failed: bool) -> None:
        now = time.monotonic()
        if now - self._started_at >= STEADY_SECONDS:
            self.failures = 0
            self.settled = self.settled or self._spec.ready is None
        delay = FIRST_DELAY
        if failed:
            delay = min(FIRST_DELAY * 2**self.failures, LONGEST_DELAY)
            self.failures += 1
        self.start_at = now + delay

    def _lines(self, chunk: bytes) -> list[str]:
        *whole, self._unfinished = (self._unfinished + chunk).split(b"\n")
        if len(self._unfinished) > _LONGEST_LINE:
            whole.append(self._unfinished)
            self._unfinished = b""
        lines = [line.decode(errors="replace").rstrip() for line in whole if line.strip()]
        self.last_line = lines[-1].strip() if lines else self.last_line
        return lines
