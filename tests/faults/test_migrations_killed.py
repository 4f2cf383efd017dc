"""Migrations killed half-way, met by another migrator, and ahead of the code (row 27)."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from tests.faults.conftest import SteadyLoad
from tests.installation import Installation
from tests.processes import PATIENCE, until
from tests.proxy import Proxy

from trellis.testing.postgresql import PostgreSQL

pytestmark = pytest.mark.nightly  # minutes together: a whole installation for each row

COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"


class Migrator:
    """`trellis db …` for an empty database behind a proxy."""

    def __init__(self, postgresql: PostgreSQL, directory: Path) -> None:
        self.proxy = Proxy(postgresql.port)
        self._postgresql, self._directory = postgresql, directory
        self._directory.joinpath("trellis.toml").touch()

    def begin(self, *command: str, database: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "trellis", "db", *command],
            env={
                **os.environ,
                "TRELLIS_CONFIG": str(self._directory / "trellis.toml"),
                "TRELLIS_DATA_DIR": str(self._directory / "var"),
                "TRELLIS_DATABASE_URL": self._postgresql.url(database, port=self.proxy.port),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, database: str) -> None:
        """Run a command to its end, which must be a good one."""
        with self.begin(*command, database=database) as process:
            told, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, told

    def killed_at(self, is_the_place: Callable[[bytes], bool], *, database: str) -> bool:
        """Upgrade, and SIGKILL at the first piece for the database of which that is true.

        The database gets that piece. False when the upgrade came to its end.
        """
        killed = Event()
        with self.begin("upgrade", database=database) as process:

            def kill(data: bytes) -> bool:
                if killed.is_set() or not is_the_place(data):
                    return False
                process.send_signal(signal.SIGKILL)
                killed.set()
                return True

            self.proxy.cut(kill)
            process.communicate(timeout=PATIENCE)
            self.proxy.restore()
        return killed.is_set()

    def schema(self, database: str) -> list[list[tuple[object, ...]]]:
        """What there is in a database."""
        return [self._postgresql.execute(query, database) for query in (COLUMNS, INDEXES)]


@pytest.fixture
def migrator(tmp_path: Path) -> Iterator[Migrator]:
    postgresql = PostgreSQL()
    try:
        postgresql.start()
        for name in ("whole", "killed"):
            postgresql.execute(f"CREATE DATABASE {name}")
        migrator = Migrator(postgresql, tmp_path)
        yield migrator
        migrator.proxy.close()
    finally:
        postgresql.close()


def nth(number: int, word: bytes) -> Callable[[bytes], bool]:
    """Whether this is the ``number``-th piece with a word in it."""
    left = number

    def is_it(data: bytes) -> bool:
        nonlocal left
        left -= word in data
        return left <= 0

    return is_it


def assert_made_good(migrator: Migrator) -> None:
    """Another upgrade brings a database to where one without a fault stands."""
    migrator.run("upgrade", database="killed")
    migrator.run("check", database="killed")
    migrator.run("upgrade", database="whole")
    assert migrator.schema("killed") == migrator.schema("whole")


def test_f27_a_migration_is_killed_half_way(migrator: Migrator) -> None:
    assert migrator.killed_at(nth(10, b"CREATE TABLE"), database="killed")
    assert migrator.killed_at(nth(4, b"COMMIT"), database="killed")
    assert_made_good(migrator)


@pytest.mark.nightly
@pytest.mark.parametrize("word", [b"COMMIT", b"CREATE TABLE", b"CREATE"])
def test_f27_migrations_are_killed_again_and_again(migrator: Migrator, word: bytes) -> None:
    dice = random.Random(word)
    # Later each time, as one transaction may hold more of them than that.
    for later in itertools.count():
        if not migrator.killed_at(nth(dice.randint(4, 12) + later, word), database="killed"):
            break
    assert_made_good(migrator)


def test_f27_two_migrators_meet(migrator: Migrator) -> None:
    with ThreadPoolExecutor() as pool:
        for end in [pool.submit(migrator.run, "upgrade", database="killed") for _ in range(2)]:
            end.result(PATIENCE)
    migrator.run("check", database="killed")


def test_f27_code_works_on_the_schema_of_a_newer_version(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load:
        ((revision,),) = site.rows("SELECT version_num FROM auth_alembic_version")
        site.rows("ALTER TABLE auth_user ADD COLUMN of_a_newer_version text")
        site.rows("UPDATE auth_alembic_version SET version_num = 'ffffffffffff'")
        load.until_round()
        for process in site.processes:
            site.supervisor.restart(process)
            until(site.healthy, "its place taken again")
        upgraded = site.run("db", "upgrade")
        assert upgraded.returncode == 0, upgraded.stderr
        assert "newer than this code" in upgraded.stdout
        load.until_round()
        site.rows(f"UPDATE auth_alembic_version SET version_num = '{revision}'")
        site.rows("ALTER TABLE auth_user DROP COLUMN of_a_newer_version")
