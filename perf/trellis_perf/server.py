"""A server of one's own for a run: started afresh, seeded, and ended without a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from trellis.errors import StartError
from trellis.local import sessions

_START_SECONDS = 60.0
_STOP_SECONDS = 8.0
_LAST_WORDS = 20


@dataclass(frozen=True)
class Server:
    """A running server, and the file of the people whom it knows."""

    url: str
    people: Path
    process: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self.process.poll() is None


@contextmanager
def own_server(people: int) -> Iterator[Server]:
    """``trellis serve`` in a fresh directory, on a free port of this machine, with its defaults.

    Settings of the caller's environment do not reach it: a load must never meet somebody's data.
    Raises StartError.
    """
    with (
        tempfile.TemporaryDirectory(prefix="trellis-perf-") as name,
        closing(sessions.Guard()) as guard,
    ):
        directory, port = Path(name), _free_port()
        environ = _environ(directory, port)
        with (directory / "log").open("wb") as log:
            process = sessions.spawn(
                [sys.executable, "-m", "trellis", "serve"], env=environ, stdout=log.fileno()
            )
        guard.watch(process.pid)
        server = Server(f"http://127.0.0.1:{port}", directory / "people.json", process)
        try:
            _wait_until_ready(server, directory / "log")
            _seed(server, people, environ)
            yield server
        finally:
            sessions.end(process, _STOP_SECONDS)
            guard.forget(process.pid)


def _environ(directory: Path, port: int) -> dict[str, str]:
    settings = directory / "trellis.toml"
    settings.touch()  # named below, so that none in the working directory is read
    outside = {name: value for name, value in os.environ.items() if not name.startswith("TRELLIS_")}
    return outside | {
        "TRELLIS_CONFIG": str(settings),
        "TRELLIS_DATA_DIR": str(directory / "var"),
        "TRELLIS_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_ready(server: Server, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(f"{server.url}/health/ready"):
        if not server.running or time.monotonic() > deadline:
            last_words = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_WORDS:])
            raise StartError(f"The server for the run did not start:\n{last_words}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 (our own server)
            return True
    except OSError:
        return False


def _seed(server: Server, people: int, environ: dict[str, str]) -> None:
    command = ["perf", "seed", "--users", str(people), "--people", str(server.people)]
    seeding = subprocess.run(
        [sys.executable, "-m", "trellis", *command],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if seeding.returncode != 0:
        raise StartError(f"The server for the run could not be seeded:\n{seeding.stderr}")
