"""Clocks that go wrong, for processes that start with one: Debian's libfaketime."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.processes import until

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
_FIRST = Path(__file__).parent / "faketime"


def off_by(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off: ``+1h``, ``-1h``, ``+0 x1.1``."""
    return {**_preloaded(), "FAKETIME": offset}


@contextmanager
def settable() -> Iterator[tuple[dict[str, str], Path]]:
    """The environment of processes whose clocks are off by what a file says, and that file."""
    handle, name = tempfile.mkstemp(prefix="trellis-clock-")
    os.fchmod(handle, 0o644)  # PostgreSQL runs as another user
    os.close(handle)
    clock = Path(name)
    clock.write_text("+0\n")
    try:
        with _shared_by_users() as shared:
            yield {**shared, "FAKETIME_TIMESTAMP_FILE": name, "FAKETIME_CACHE_DURATION": "1"}, clock
    finally:
        clock.unlink()


@contextmanager
def _shared_by_users() -> Iterator[dict[str, str]]:
    """Shared memory of the library that programs of every user may open."""
    with subprocess.Popen(["sleep", "infinity"], env={**os.environ, **_preloaded()}) as holder:
        memory = [
            Path(f"/dev/shm/{name}_{holder.pid}") for name in ("sem.faketime_sem", "faketime_shm")
        ]
        try:
            until(lambda: all(each.exists() for each in memory), "shared memory of libfaketime")
            for each in memory:
                each.chmod(0o666)
            names = f"/faketime_sem_{holder.pid} /faketime_shm_{holder.pid}"
            yield {**_preloaded(), "FAKETIME_SHARED": names}
        finally:
            holder.kill()
            for each in memory:
                each.unlink(missing_ok=True)


def _preloaded() -> dict[str, str]:
    if not _LIBRARIES:
        pytest.skip("needs libfaketime (Debian: faketime)")
    return {
        "LD_PRELOAD": str(_LIBRARIES[0]),
        # Only the time of day goes wrong; what measures intervals does not.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # But waits for C's conditions are counted by the wrong clock all the same (0.9.10) and end
        # at once: threads spin for the interpreter's lock. So long they are in Python, in ms.
        "FAKETIME_WAIT_MS": "5",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_FIRST), os.environ.get("PYTHONPATH")))),
    }
