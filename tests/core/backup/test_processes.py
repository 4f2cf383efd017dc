"""`trellis backup` as processes: the walk-through, a full disk, and a kill at any moment."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.backup.conftest import KEY
from tests.processes import PATIENCE, Trellis, until

PAGE = Path(__file__).parents[3] / "docs/operations/backup.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a migrated installation that holds objects."""
    trellis = Trellis(tmp_path_factory.mktemp("made"))
    yes(trellis, "db", "upgrade")
    books = trellis.data / "objects/books"
    books.mkdir(parents=True)
    for number in range(100):
        (books / f"{number:02}").write_bytes(f"book {number}\n".encode() * 40)
    trellis.clean_up()
    return trellis.data


@pytest.fixture
def trellis(tmp_path: Path, made: Path) -> Iterator[Trellis]:
    """An installation of which nothing runs."""
    trellis = Trellis(tmp_path, {"TRELLIS_BACKUP_KEY": KEY})
    shutil.copytree(made, trellis.data)
    yield trellis
    trellis.clean_up()


def yes(trellis: Trellis, *arguments: str, **environ: str) -> str:
    ended = trellis.run(*arguments, **environ)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def no(trellis: Trellis, *arguments: str, code: int = 2, **environ: str) -> str:
    ended = trellis.run(*arguments, **environ)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


def killed_when(trellis: Trellis, seen: Callable[[], bool], *arguments: str) -> None:
    """Run a command and kill it as soon as something is seen."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trellis", *arguments],
        cwd=trellis.directory,
        env=trellis.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: seen() or process.poll() is not None, f"{arguments} at work")
    finally:
        process.kill()
        assert process.wait(PATIENCE) < 0, "it had ended before it was killed"


def books(trellis: Trellis) -> dict[str, bytes]:
    directory = trellis.data / "objects/books"
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_the_walk_through_of_the_page_works(trellis: Trellis) -> None:
    page = PAGE.read_text().partition("## What you need")[0]
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    assert script.count("trellis ") >= 5
    program = f'trellis() {{ "{sys.executable}" -m trellis "$@"; }}\nset -e\n{script}'
    ended = subprocess.run(
        ["bash", "-c", program.replace("$(python3", f'$("{sys.executable}"')],
        cwd=trellis.directory,
        env=trellis.environ,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,  # as many commands
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "broken" not in ended.stdout
    assert "restored" in ended.stdout


@pytest.mark.nightly
def test_a_create_that_is_killed_leaves_no_set(trellis: Trellis) -> None:
    backups = trellis.directory / "backups"
    before = books(trellis)
    for begun in ("objects/*/*", "sets/*"):
        killed_when(trellis, lambda: any(backups.glob(begun)), "backup", "create", "backups")  # noqa: B023
        assert not any(backups.glob("sets/*/manifest"))
    assert "There is no set" in no(trellis, "backup", "restore", "backups")
    assert re.search(r"^0 new object", yes(trellis, "backup", "create", "backups"), re.MULTILINE)
    yes(trellis, "backup", "restore", "backups", "--replace")
    assert books(trellis) == before


def everybody_says_what_to_do(trellis: Trellis) -> None:
    for command in ("db status", "db upgrade", "backup create backups", "jobs list"):
        told = no(trellis, *command.split())
        assert "a restore that has not come to its end" in told
        assert "run `trellis backup restore` again" in told
        assert "run `trellis db upgrade`" not in told


@pytest.mark.nightly
def test_a_restore_that_was_cut_off_is_told_by_what_is_asked_next(trellis: Trellis) -> None:
    with closing(sqlite3.connect(trellis.data / "trellis.db")) as database, database:
        database.execute("DELETE FROM core_alembic_version")
    everybody_says_what_to_do(trellis)


def test_a_target_in_the_storage_is_refused_in_a_sentence(trellis: Trellis) -> None:
    before = books(trellis)
    for command in ("create", "restore"):
        told = no(trellis, "backup", command, "var/objects/bk", code=2)
        assert re.search(r"^trellis: the target file://.* lie one in the other", told, re.MULTILINE)
    assert books(trellis) == before
    assert not (trellis.data / "objects/bk").exists()


@pytest.mark.nightly
def test_a_restore_that_is_killed_serves_nobody_and_can_be_run_again(trellis: Trellis) -> None:
    yes(trellis, "backup", "create", "backups")
    before = books(trellis)
    for path in (trellis.data / "objects/books").iterdir():
        path.unlink()
    some = trellis.data / "objects/books"
    killed_when(
        trellis,
        lambda: any(some.iterdir()),
        *("backup", "restore", "backups", "--replace"),
    )
    assert len(books(trellis)) < len(before)
    everybody_says_what_to_do(trellis)
    assert trellis.begin().wait(PATIENCE) != 0, "it serves half a database"

    yes(trellis, "backup", "restore", "backups")
    assert books(trellis) == before
    assert "pending" not in yes(trellis, "db", "status")


@pytest.mark.nightly
def test_a_full_disk_is_told(trellis: Trellis) -> None:
    """No file may become larger than the limit that the shell sets."""
    (trellis.data / "objects/books/large").write_bytes(os.urandom(3_000_000))
    limited = 'ulimit -f 1024; trap "" XFSZ; exec "$@"'
    ended = subprocess.run(
        ["bash", "-c", limited, "-", sys.executable, "-m", "trellis", "backup", "create", "full"],
        cwd=trellis.directory,
        env=trellis.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert re.search(
        r"^trellis: objects/.* cannot be written to file://.*: ", ended.stderr, re.MULTILINE
    )
    assert not any((trellis.directory / "full").glob("sets/*/manifest"))
