"""Keeps processes running as systemd would: one that ends is started again, until it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.processes import PATIENCE, until

from trellis.local import sessions

_RESTART_SECONDS = 0.3
_POLL_SECONDS = 0.02


class Supervised:
    """One process that should run, over all its starts; it leads a session of its own."""

    def __init__(
        self, name: str, argv: Sequence[str], environ: Mapping[str, str], directory: Path
    ) -> None:
        self.name, self.argv, self.environ = name, argv, dict(environ)
        self.log = directory / f"{name}.log"
        self.exit_codes: list[int] = []
        """How its earlier starts ended; a signal is a negative number."""
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None

    @property
    def pids(self) -> list[int]:
        """It and all that it started."""
        process = self._process
        return sessions.members(process.pid) if process is not None else []

    def runs(self, word: str) -> bool:
        """Whether it has a process with a word in its command line."""
        lines = []
        for pid in self.pids:
            with suppress(OSError):
                lines.append(Path(f"/proc/{pid}/cmdline").read_text(errors="replace"))
        return any(word in line for line in lines)

    @property
    def output(self) -> str:
        """What all its starts have said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to all that it started."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def want(self) -> None:
        """Have it run from now on."""
        self._start_at, self._wanted = 0.0, True

    def ask_to_end(self) -> None:
        """SIGTERM to the process that was started, and no further start."""
        self._wanted = False
        if (process := self._process) is not None:
            process.terminate()

    def bury(self) -> None:
        """Kill it with all that it started, and let it go."""
        if self._process is not None:
            sessions.kill(self._process.pid)
            self._process.wait()

    def keep(self, guard: sessions.Guard) -> None:
        """Start it when it should run and does not. In the thread whose end ends it."""
        if self._process is not None and (code := self._process.poll()) is not None:
            sessions.kill(self._process.pid)
            guard.forget(self._process.pid)
            self.exit_codes.append(code)
            self._start_at = time.monotonic() + _RESTART_SECONDS
            self._process = None
        if self._process is None and self._wanted and time.monotonic() >= self._start_at:
            with self.log.open("ab") as log:
                self._process = sessions.spawn(self.argv, env=self.environ, stdout=log.fileno())
            guard.watch(self._process.pid)


class Supervisor:
    """Runs processes from a thread of its own; when that ends, by whatever cause, so do they."""

    def __init__(self) -> None:
        self._all: list[Supervised] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def start(self, *processes: Supervised) -> None:
        """Have them run, and wait until they do."""
        self._all += [process for process in processes if process not in self._all]
        for process in processes:
            process.want()
        until(lambda: all(process.running for process in processes), "starts")

    def stop(self, *processes: Supervised) -> None:
        """Ask them to end, and wait until they have."""
        for process in processes:
            process.ask_to_end()
        until(lambda: not any(process.running for process in processes), "ends")

    def restart(self, process: Supervised) -> None:
        """Stop and start it, as an upgrade does."""
        self.stop(process)
        self.start(process)

    def close(self) -> None:
        """Kill them all."""
        self._ended.set()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        guard = sessions.Guard()  # ends them when this whole program is killed
        while not self._ended.wait(_POLL_SECONDS):
            for process in list(self._all):
                process.keep(guard)
        for process in self._all:
            process.bury()
        guard.close()
