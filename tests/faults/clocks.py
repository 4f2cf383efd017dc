"""Clocks that go wrong, for processes that start with one: Debian's libfaketime."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


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
        yield (
            {**_preloaded(), "FAKETIME_TIMESTAMP_FILE": name, "FAKETIME_CACHE_DURATION": "1"},
            clock,
        )
    finally:
        clock.unlink()


def _preloaded() -> dict[str, str]:
    if not _LIBRARIES:
        pytest.skip("needs libfaketime (Debian: faketime)")
    return {
        "LD_PRELOAD": str(_LIBRARIES[0]),
        # Only the time of day goes wrong; what measures intervals does not.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",  # shared memory that another user could not open
    }
