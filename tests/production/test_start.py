"""A start that cannot be: one sentence that names the setting, exit code 2, in bounded time."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from tests.processes import PATIENCE, free_port, until
from tests.production.command import Command
from tests.production.s3 import S3

NOWHERE = "127.0.0.1:1"
PROCESSES = ("serve", "stream", "worker light", "worker heavy", "scheduler")


def refusals(trellis: Command, *commands: str, **environ: str) -> list[str]:
    """The sentences of several starts at once, each of which may wait for ten seconds."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda words: trellis.refused(*words.split(), **environ), commands))


def test_an_unreachable_database(trellis: Command) -> None:
    url = f"postgresql://app:hush-1@{NOWHERE}/trellis"
    commands = ("serve", "worker heavy", "db upgrade")
    for sentence in refusals(trellis, *commands, TRELLIS_DATABASE_URL=url):
        assert sentence.startswith("database_url: the database does not answer (")
        assert "TRELLIS_DATABASE_URL" in sentence
        assert "hush" not in sentence


def test_a_database_that_does_not_hold_all_text(trellis: Command, database_url: str) -> None:
    server, name = database_url.rsplit("/", 1)
    options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_ascii {options}")
    told = refusals(trellis, "serve", "db upgrade", TRELLIS_DATABASE_URL=f"{database_url}_ascii")
    sentence = (
        "the database keeps text as SQL_ASCII; give it one that was made with ENCODING 'UTF8'."
    )
    assert set(told) == {f"database_url: {sentence}"}


@pytest.mark.nightly
def test_an_unknown_database(trellis: Command, database_url: str) -> None:
    sentence = trellis.refused("serve", TRELLIS_DATABASE_URL=f"{database_url}_not")
    assert 'database "' in sentence
    assert "does not exist" in sentence


@pytest.mark.nightly
def test_without_its_broker_a_process_serves_all_the_same(trellis: Command) -> None:
    with trellis.running("serve", TRELLIS_REDIS_URL=f"redis://:hush-1@{NOWHERE}/0"):
        until(lambda: ready(trellis)[0] == 200, "a process that serves")
        assert ready(trellis)[1]["status"] == "degraded"
    assert "redis_url: the broker does not answer (" in trellis.output
    assert "hush" not in trellis.output


@pytest.mark.nightly
def test_no_broker_at_all(trellis: Command) -> None:
    sentence = trellis.refused("serve", TRELLIS_REDIS_URL="")
    assert "TRELLIS_REDIS_URL" in sentence


@pytest.mark.nightly
def test_an_unreachable_storage(trellis: Command, s3: S3) -> None:
    sentence = trellis.refused("worker", "light", **s3.environ(port=1))
    assert sentence.startswith("storage_url: the storage cannot be used (")
    assert "secret" not in sentence
    sentence = trellis.refused("serve", **s3.environ() | {"TRELLIS_STORAGE_URL": "s3://nowhere"})
    assert "NoSuchBucket" in sentence


@pytest.mark.nightly
def test_a_second_machine_with_a_directory_of_its_own(trellis: Command, tmp_path: Path) -> None:
    assert trellis("storage", "adopt", "--yes").returncode == 0
    second = tmp_path / "second"
    for sentence in refusals(trellis, *PROCESSES, TRELLIS_STORAGE_URL=f"file://{second}"):
        assert sentence.startswith(f"storage_url: file://{second} is not the storage")
        assert "trellis storage adopt" in sentence


def ready(trellis: Command) -> tuple[int, dict[str, Any]]:
    port = trellis.environ["TRELLIS_PORT"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)
    except OSError:
        return 0, {}


def test_a_half_restored_database_is_served_by_nobody(trellis: Command, database_url: str) -> None:
    """The core has tables and no revision, as long as a restore is under way or was cut off."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM core_alembic_version"))
    engine.dispose()
    for sentence in refusals(trellis, "serve", "stream", "worker light", "db upgrade"):
        assert "run `trellis backup restore` again" in sentence


@pytest.mark.nightly
def test_pending_migrations_are_told_and_waited_for(trellis: Command, empty_url: str) -> None:
    trellis.environ["TRELLIS_DATABASE_URL"] = empty_url
    with (
        trellis.running("serve"),
        trellis.running("worker", "light", TRELLIS_PORT=str(free_port())),
    ):
        until(lambda: ready(trellis)[0] == 503, "a process that is not ready")
        assert ready(trellis)[1]["checks"]["migrations"] == "failed"
        until(lambda: trellis.output.count("migrations_pending") >= 2, "both have said so")
        assert trellis("db", "upgrade").returncode == 0
        until(lambda: ready(trellis)[1].get("status") == "ok", "a process that is ready")


def gone(process: Path) -> bool:
    return not process.exists()


def test_the_end_of_a_start_is_quiet(trellis: Command) -> None:
    """Ctrl-C and SIGTERM while a broker is silent: no trace, and nobody stays."""
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        with (
            socket.create_server(("127.0.0.1", 0)) as broker,
            trellis.running(
                *("worker", "light"),
                TRELLIS_REDIS_URL=f"redis://127.0.0.1:{broker.getsockname()[1]}",
            ) as process,
        ):
            broker.settimeout(PATIENCE)
            asking = broker.accept()[0]
            with asking:
                (checks,) = (
                    Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                )
                os.kill(process.pid, number)
                assert process.wait(PATIENCE) == code
                until(partial(gone, Path("/proc", checks)), "the end of the checks")
    assert "Traceback" not in trellis.output
    assert "Aborted" not in trellis.output
