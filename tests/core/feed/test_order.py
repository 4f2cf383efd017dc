"""The order of the feed under everything that may happen to those who write and sequence it."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from tests.core.feed.crowd import READER
from tests.processes import PATIENCE, until

from trellis.db import fetch_value
from trellis.db.reads import fetch_all
from trellis.events import user_audience
from trellis.feed import changes, head
from trellis.feed.models import FeedEntry
from trellis.feed.reader import entries_after
from trellis.feed.sequencer import sequence
from trellis.testing.databases import PostgreSQLDatabase, SQLiteDatabase
from trellis.testing.environment import Environment
from trellis.testing.postgresql import DURABLE, PostgreSQL

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
AUDIENCES = {user_audience(READER)}
Page = Callable[[int], tuple[list[tuple[int, str]], int]]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    server = PostgreSQL(DURABLE)
    server.start()
    yield server
    server.close()


@contextmanager
def application(directory: Path, server: PostgreSQL | None) -> Iterator[Environment]:
    """One over a fresh database that may be taken away from it."""
    database = SQLiteDatabase(directory) if server is None else PostgreSQLDatabase(server.url())
    with Environment.started(directory, database) as environment:
        yield environment
    gc.collect()  # finds here what a killed server has left open in the driver


def _environ(environment: Environment) -> dict[str, str]:
    """What a process finds that works on the same database."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, **environment.variables, "PYTHONPATH": path}


class Crowd:
    """A process of writers and sequencers."""

    def __init__(self, directory: Path, environment: Environment, first: int) -> None:
        self._journal = directory / f"crowd{first}.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.core.feed.crowd", str(first), str(self._journal)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environ(environment),
        )

    def committed(self) -> set[str]:
        """What was certainly committed."""
        lines = self._journal.read_text().splitlines(keepends=True) if self.started() else []
        return {line.strip() for line in lines if line.endswith("\n")}

    def started(self) -> bool:
        return self._journal.exists() and self._journal.stat().st_size > 0

    def end(self) -> None:
        """Let it finish what it has begun."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) in (0, -signal.SIGKILL)

    def kill(self) -> None:
        assert self.process.stdin is not None
        self.process.kill()
        self.process.stdin.close()
        self.process.wait(PATIENCE)


class Reader:
    """Follows by position, as every reader of the feed does, and keeps all that it is given."""

    def __init__(self, app: Flask, page: Page) -> None:
        self._app, self._page = app, page
        self.seen: list[tuple[int, str]] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> list[tuple[int, str]]:
        """Everything, up to the present end."""
        self.ended.set()
        self._thread.join(PATIENCE)
        return self.seen

    def _run(self) -> None:
        cursor = 0
        with self._app.app_context():
            while True:
                last = self.ended.is_set()
                try:
                    page, cursor = self._page(cursor)
                except SQLAlchemyError:
                    time.sleep(0.02)
                    continue
                self.seen += page
                if not page:
                    if last:
                        return
                    time.sleep(0.01)


def by_audience(cursor: int) -> tuple[list[tuple[int, str]], int]:
    found = changes(cursor, AUDIENCES, limit=random.randint(1, 9))
    return [(entry.position, entry.resource_id) for entry in found.entries], found.cursor


def all_of_them(cursor: int) -> tuple[list[tuple[int, str]], int]:
    found = [(e.position, e.resource_id) for e in entries_after(cursor, random.randint(1, 9))]
    return found, found[-1][0] if found else cursor


def crowd_test(
    environment: Environment,
    directory: Path,
    seconds: float,
    server: PostgreSQL | None,
    faults: int,
) -> None:
    """Let two crowds write for a while, with faults in between, and compare what readers saw."""
    app = environment.app
    with ExitStack() as stack:
        crowds: list[Crowd] = []

        def start() -> None:
            crowds.append(crowd := Crowd(directory, environment, len(crowds) * 10_000_000))
            stack.callback(crowd.kill)

        start()
        start()
        until(lambda: all(crowd.started() for crowd in crowds), "writers at work")
        readers = [Reader(app, page) for page in (by_audience, all_of_them, by_audience)]
        for reader in readers:
            stack.callback(reader.finish)
        for number in range(faults):
            _wait(seconds / (faults + 1))
            if number % 2:
                first, *others = [crowd for crowd in crowds if crowd.process.poll() is None]
                first.kill()
                if not others:
                    start()
            elif server is not None:
                _disturb(server, number)
        _wait(seconds / (faults + 1))
        for crowd in crowds:
            if crowd.process.poll() is None:
                crowd.end()
        with app.app_context():
            while sequence():
                pass
        _compare(app, [reader.finish() for reader in readers], crowds)


def _compare(app: Flask, seen: list[list[tuple[int, str]]], crowds: list[Crowd]) -> None:
    with app.app_context():
        last = head()
        stored = fetch_all(
            select(FeedEntry.position, FeedEntry.resource_id).order_by(FeedEntry.position)
        )
        assert fetch_value(select(func.count()).where(FeedEntry.position.is_(None))) == 0
    assert last > 30
    for each in seen:
        assert [position for position, _ in each] == list(range(1, last + 1))
        assert each == [tuple(row) for row in stored]
    numbers = [number for _, number in seen[0]]
    assert len(set(numbers)) == len(numbers)
    assert set().union(*(crowd.committed() for crowd in crowds)) <= set(numbers)


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def _disturb(server: PostgreSQL, number: int) -> None:
    if number % 4:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'trellis' AND random() < 0.5"
        )
    else:
        server.kill()
        server.start()


def test_g01_g02_nothing_is_skipped_or_repeated_on_sqlite(tmp_path: Path) -> None:
    with application(tmp_path, None) as environment:
        crowd_test(environment, tmp_path, 3, None, faults=2)


def test_g01_g02_nothing_is_skipped_or_repeated_on_postgresql(
    tmp_path: Path, server: PostgreSQL
) -> None:
    """The server is killed and started again, connections are ended, a process is killed."""
    with application(tmp_path, server) as environment:
        crowd_test(environment, tmp_path, 5, server, faults=3)


@pytest.mark.nightly
@pytest.mark.parametrize("on_sqlite", [True, False])
def test_g01_g02_nothing_is_skipped_or_repeated_for_long(
    tmp_path: Path, server: PostgreSQL, on_sqlite: bool
) -> None:
    with application(tmp_path, None if on_sqlite else server) as environment:
        crowd_test(environment, tmp_path, 90, None if on_sqlite else server, faults=12)


@pytest.mark.parametrize("erased", [True, False])
def test_g01_an_erasure_under_way_leaves_no_gap_and_holds_nobody_up(
    tmp_path: Path, server: PostgreSQL, share_in: Callable[..., Any], erased: bool
) -> None:
    with application(tmp_path, server) as environment:
        app, url = environment.app, environment.variables["TRELLIS_DATABASE_URL"]
        share_in(app, READER, 1, 2, 3)
        with psycopg.connect(url) as erasure, app.app_context():
            erasure.execute("DELETE FROM core_feed_entry WHERE resource_id = '2'")
            assert sequence() == 2
            (erasure.commit if erased else erasure.rollback)()
            share_in(app, READER, 4)
            sequence()
            found = [(e.position, e.resource_id) for e in changes(0, AUDIENCES).entries]
        rest = ["4"] if erased else ["2", "4"]
        assert found == list(enumerate(["1", "3", *rest], start=1))


STOPS_ITSELF = """
import os, signal
from trellis.app import create_app
from trellis.feed import sequencer

def stop():
    os.kill(os.getpid(), signal.SIGSTOP)
    return pending()

pending, sequencer._pending = sequencer._pending, stop
with create_app().app_context():
    print(sequencer.sequence(), flush=True)
"""


@pytest.mark.nightly
def test_g01_a_sequencer_that_is_stopped_holds_the_feed_up_for_seconds_only(
    tmp_path: Path, server: PostgreSQL, share_in: Callable[..., Any]
) -> None:
    with application(tmp_path, server) as environment:
        app = environment.app
        share_in(app, READER, 1, 2)
        process = subprocess.Popen(
            [sys.executable, "-c", STOPS_ITSELF],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environ(environment),
        )
        try:
            until(lambda: _state(process.pid) == "T", "stopped in the midst")
            with app.app_context():
                assert sequence() == 0  # and it did not wait
                share_in(app, READER, 3)
                assert until(sequence, "the lock is free", within=15) == 3
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate(timeout=PATIENCE)
            assert said == b""  # its transaction had ended: it gave nothing
            assert process.returncode != 0
            with app.app_context():
                assert [e.position for e in changes(0, AUDIENCES).entries] == [1, 2, 3]
                assert head() == 3
        finally:
            process.kill()
            process.wait(PATIENCE)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
