"""Migrations in real processes: killed, waiting for a lock, several at once."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.processes import PATIENCE, until
from tests.production.command import COMMAND, Command

PREVIOUS, NEWEST = "5d181d03695b", "7b2e6d40c1fa"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_name IN ('core_outbox', 'core_feed_head')"
)


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@contextmanager
def holding(url: str, table: str) -> Iterator[None]:
    """Somebody has locked a table for the block."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        yield


def begin(trellis: Command, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=trellis.directory,
        env=trellis.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until_waiting(database: psycopg.Connection[Any]) -> None:
    """Wait until some session waits for a lock."""
    name = database.info.dbname
    until(lambda: database.execute(WAITING, [name]).fetchall(), "a migration that waits")


def columns(database: psycopg.Connection[Any]) -> set[Any]:
    return set(database.execute(COLUMNS).fetchall())


@pytest.mark.nightly
def test_f27_a_migration_that_is_killed_in_the_middle_leaves_nothing_and_runs_again(
    trellis: Command, database_url: str, database: psycopg.Connection[Any]
) -> None:
    whole = columns(database)
    assert trellis("db", "downgrade", "--plugin", "core", PREVIOUS).returncode == 0
    before = columns(database)
    with holding(database_url, "core_feed_head"):  # the revision has changed core_outbox by then
        migrator = begin(trellis, "db", "upgrade")
        until_waiting(database)
        migrator.kill()
        migrator.communicate(timeout=PATIENCE)
    assert before < whole
    until(lambda: columns(database) == before, "nothing of it stays")
    assert trellis("db", "upgrade").returncode == 0
    assert columns(database) == whole
    assert trellis("db", "check").returncode == 0


@pytest.mark.nightly
def test_f27_a_migration_waits_for_who_holds_a_table_and_holds_nobody_up(
    trellis: Command, database_url: str, database: psycopg.Connection[Any]
) -> None:
    assert trellis("db", "downgrade", "--plugin", "core", PREVIOUS).returncode == 0
    with holding(database_url, "core_outbox"):
        migrator = begin(trellis, "db", "upgrade")
        until_waiting(database)
        # It lets go, so that whoever came behind it gets on, and comes again.
        until(lambda: not database.execute(WAITING, [database.info.dbname]).fetchall(), "a pause")
        until_waiting(database)
        assert migrator.poll() is None
    told, _ = migrator.communicate(timeout=PATIENCE)
    assert migrator.returncode == 0, told


@pytest.mark.nightly
def test_f27_two_migrators_at_once_wait_for_one_another(
    trellis: Command, empty_url: str, postgresql: object
) -> None:
    trellis.environ["TRELLIS_DATABASE_URL"] = empty_url
    migrators = [begin(trellis, "db", "upgrade") for _ in range(2)]
    told = [migrator.communicate(timeout=PATIENCE)[0] for migrator in migrators]
    assert [migrator.returncode for migrator in migrators] == [0, 0], told
    assert trellis("db", "check").returncode == 0


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
@pytest.mark.nightly
def test_f27_a_first_migration_is_killed_at_any_moment(
    trellis: Command, empty_url: str, tmp_path: Path, kind: str
) -> None:
    sqlite = f"sqlite:///{tmp_path}/killed.db"
    trellis.environ["TRELLIS_DATABASE_URL"] = empty_url if kind == "postgresql" else sqlite
    for seed in range(12):
        migrator = begin(trellis, "db", "upgrade")
        threading.Event().wait(random.Random(seed).uniform(0.5, 6))
        migrator.kill()
        migrator.communicate(timeout=PATIENCE)
    assert trellis("db", "upgrade").returncode == 0
    assert trellis("db", "check").returncode == 0


@pytest.mark.nightly
def test_f27_a_schema_that_is_newer_than_the_code_is_accepted(
    trellis: Command, database: psycopg.Connection[Any]
) -> None:
    database.execute("UPDATE media_alembic_version SET version_num = 'of a later code'")
    status = trellis("db", "status")
    assert status.returncode == 0, status
    assert "newer than this code" in status.stdout
    assert trellis("db", "upgrade").returncode == 0
    assert trellis("storage", "adopt", "--yes").returncode == 0
    with trellis.running("scheduler") as scheduler:
        until(lambda: "migrations_pending" in trellis.output or ticks(database), "a first tick")
        assert ticks(database)
        assert scheduler.poll() is None


def ticks(database: psycopg.Connection[Any]) -> bool:
    return bool(database.execute("SELECT 1 FROM core_outbox LIMIT 1").fetchall())
