"""The `trellis` command with the settings of production, and a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.processes import PATIENCE, free_port

COMMAND = (sys.executable, "-m", "trellis")


class Command:
    """``command("db", "upgrade")`` runs one to its end."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        settings = directory / "trellis.toml"
        settings.touch()
        port = free_port()
        self.directory = directory
        self.environ = {
            **os.environ,
            "TRELLIS_CONFIG": str(settings),
            "TRELLIS_ENVIRONMENT": "production",
            "TRELLIS_DATA_DIR": str(directory / "var"),
            "TRELLIS_PORT": str(port),
            "TRELLIS_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TRELLIS_DATABASE_URL": "postgresql://127.0.0.1:1/trellis",
            "TRELLIS_REDIS_URL": "redis://127.0.0.1:1",
            "TRELLIS_STORAGE_URL": f"file://{directory}/var/objects",
            "TRELLIS_SECRET_KEYS": "a-key-of-the-tests-of-production",
            "TRELLIS_NOTIFICATIONS__MAIL_URL": "smtp://127.0.0.1:1",
            **environ,
        }

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.directory,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def refused(self, *arguments: str, **environ: str) -> str:
        """The one sentence of a start that cannot be."""
        ended = self(*arguments, **environ)
        assert ended.returncode == 2, ended
        lines = [line for line in ended.stderr.splitlines() if line.startswith("trellis: ")]
        assert len(lines) == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        return lines[0].removeprefix("trellis: ")

    @contextmanager
    def running(self, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process for the block, in a group of its own; its output is in ``output.log``."""
        with (self.directory / "output.log").open("ab") as log:
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=self.directory,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)

    @property
    def output(self) -> str:
        """What `running` processes said."""
        return (self.directory / "output.log").read_text(errors="replace")
