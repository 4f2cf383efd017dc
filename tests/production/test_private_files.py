"""Other users of the machine read nothing of what lies in the data directory."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def commonly() -> Iterator[None]:
    """As most machines have it: files are made for everybody to read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def upgrade(directory: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "trellis", "db", "upgrade"],
        cwd=directory,
        check=True,
        capture_output=True,
        timeout=120,
    )


def test_the_data_directory_is_made_for_its_owner(tmp_path: Path) -> None:
    upgrade(tmp_path)
    assert mode(tmp_path / "var") == 0o700
    assert mode(tmp_path / "var" / "trellis.db") == 0o600


def test_one_of_an_earlier_version_keeps_its_mode_and_its_database_does_not(tmp_path: Path) -> None:
    data = tmp_path / "var"
    data.mkdir(mode=0o755)
    with closing(sqlite3.connect(data / "trellis.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE before_us (id INTEGER)")
        files = [data / f"trellis.db{suffix}" for suffix in ("", "-wal", "-shm")]
        assert {mode(file) for file in files} == {0o644}
        upgrade(tmp_path)
        assert {mode(file) for file in files} == {0o600}
    assert mode(data) == 0o755
