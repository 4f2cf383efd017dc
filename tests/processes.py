"""A really started Trellis: `trellis serve` with a directory of its own, and all that runs in it.

What it starts, and what that starts in turn, is found by where it runs: in that directory or below.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis, RedisError

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds that anything may take on a machine that has much else to do."""

_POLL_SECONDS = 0.02
_READY = "Trellis is ready."


def until(look: Callable[[], T | None], what: str, within: float = PATIENCE) -> T:
    """What `look` sees as soon as it sees something; AssertionError when that is never."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within:g} seconds: {what}"
        time.sleep(_POLL_SECONDS)
    return seen


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Trellis:
    """One installation: `directory` holds the data (``var``) and the output of every start."""

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str] | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "trellis"),
    ) -> None:
        self.directory = directory
        self.data = directory / "var"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = command
        self._sockets = Path(tempfile.mkdtemp())  # below `directory` its path may be too long
        self.environ = {
            **os.environ,
            "TRELLIS_PORT": str(self.port),
            "XDG_RUNTIME_DIR": str(self._sockets),
            **(environ or {}),
        }
        self._log = directory / "output.log"
        self._said_before = 0
        self._process: subprocess.Popen[bytes] | None = None

    # --- starting and ending --------------------------------------------------------------------

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it as a terminal does, in a process group of its own, and do not wait."""
        self._said_before = len(self.output)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "serve"],
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return self._process

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.begin()
        self.until_ready()

    def until_ready(self) -> None:
        """Wait until the latest start says that it is ready."""
        process = self._process
        assert process is not None

        def ready() -> bool:
            assert process.poll() is None, f"it ended at once:\n{self.output[-4000:]}"
            return _READY in self.output[self._said_before :]

        until(ready, "ready")

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """One command of the same installation, to its end."""
        return subprocess.run(
            [*self._command, *arguments],
            cwd=self.directory,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def interrupt(self) -> float:
        """What Ctrl-C does; returns how many seconds the end took."""
        assert self._process is not None
        began = time.monotonic()
        os.killpg(self._process.pid, signal.SIGINT)
        assert self._process.wait(PATIENCE) == 0, self.output[-4000:]
        took = time.monotonic() - began
        assert self.pids() == [], "something outlived the supervisor"
        return took

    def kill(self) -> None:
        """SIGKILL to everything at once, as when the power fails for the processes alone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # it starts nothing, and tells nobody to end
        until(self._killed_others, "every process but the supervisor killed")
        self.kill_the_supervisor()

    def kill_the_supervisor(self) -> None:
        """SIGKILL to the process that was started, and to nothing that it started."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def clean_up(self) -> None:
        """Leave nothing running, whatever a test did."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        until(self._killed_others, "every process killed")
        shutil.rmtree(self._sockets)

    def _killed_others(self) -> bool:
        others = [pid for pid in self.pids() if self._process is None or pid != self._process.pid]
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not others

    # --- looking at what runs ---------------------------------------------------------------------

    def pids(self, *words: str) -> list[int]:
        """What runs in our directory or below, and has all these words in its command line."""
        found = []
        for place in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):  # it has ended, or it is a zombie and is nowhere
                if place.readlink().is_relative_to(self.directory):
                    line = place.with_name("cmdline").read_bytes().decode(errors="replace")
                    if all(word in line.replace("\0", " ") for word in words):
                        found.append(int(place.parent.name))
        return found

    def worker(self, queue: str) -> int:
        """The worker of that queue; what it forks for each job is not meant."""

        def registered() -> list[int]:
            known = set()
            with closing(self.broker()) as broker, suppress(RedisError):
                for name in broker.smembers(f"rq:workers:trellis-{queue}"):
                    known.add(int(broker.hget(name, "pid") or 0))
            return [pid for pid in self.pids() if pid in known]

        (pid,) = until(registered, f"a worker of {queue}")
        return pid

    def stop_a_decoder(self) -> tuple[int, int]:
        """Stop the process that decodes a picture, in mid-task; its pid and that of its job."""
        decoder = until(lambda: self.pids("decoder.py"), "a picture is decoded")[0]
        os.kill(decoder, signal.SIGSTOP)
        # After the command, which may hold anything, come the state and the parent.
        job = Path(f"/proc/{decoder}/stat").read_text().rpartition(")")[2].split()[1]
        return decoder, int(job)

    def until_ended(self, pid: int) -> None:
        """Wait until a process runs no more."""
        until(lambda: pid not in self.pids(), f"the end of {pid}")

    def broker_pid(self) -> int | None:
        """The embedded broker's process; None while it does not answer."""
        with closing(self.broker()) as broker, suppress(RedisError):
            return int(broker.info("server")["process_id"])
        return None

    def broker(self, database: int = 0) -> Redis:
        """A client of the embedded broker: database 0 is the queue's, 1 the cache's."""
        (path,) = until(self.sockets, "a broker")
        return Redis(unix_socket_path=str(path), db=database)

    def sockets(self) -> list[Path]:
        """The embedded broker's socket, once there is one."""
        return list(self._sockets.glob("*/broker.sock"))

    @property
    def output(self) -> str:
        """What every start so far has said."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # --- looking at what it holds -----------------------------------------------------------------

    @property
    def operator(self) -> tuple[str, str]:
        """Address and password of the first operator, as its start tells a reader."""
        told = re.search(r"First operator +(\S+), password in (.+)", self.output)
        assert told is not None
        return told[1], Path(told[2]).read_text().strip()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read the database as any program may, beside those that write to it."""
        address = f"file:{self.data / 'trellis.db'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as connection:
            return connection.execute(query, parameters).fetchall()

    def until_idle(self) -> None:
        """Wait until no durable work is left, and see that none was given up."""
        try:
            until(lambda: all(dead for *_, dead in self.undone()), "all work done or given up")
        except AssertionError as error:
            error.add_note(f"undone: {self.undone()}")
            raise
        assert self.undone() == []

    def undone(self) -> list[tuple[Any, ...]]:
        """Durable work that is left; the last column tells when it was given up."""
        return self.rows(
            "SELECT task, due_at, leased_until, fence, error, dead_at FROM core_outbox"
            " WHERE done_at IS NULL"
        )


@contextmanager
def serving(directory: Path, environ: Mapping[str, str] | None = None) -> Iterator[Trellis]:
    """One that is started for the block, and leaves nothing behind."""
    trellis = Trellis(directory, environ)
    try:
        trellis.start()
        yield trellis
    finally:
        trellis.clean_up()
