"""Whoever lacks the key under which the installation's secrets are is refused before it serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx2
import psycopg
import pytest
from flask import Flask
from pydantic import SecretStr
from tests.processes import free_port, until
from tests.production.command import Command
from tests.production.test_start import refusals

from trellis.db import fetch_value
from trellis.db.installation import Installation
from trellis.db.secret import fingerprint
from trellis.errors import StartError
from trellis.keys import require_secret_keys
from trellis.runtime import Runtime

OLD, NEW, OTHER = (letter * 32 for letter in "one")
Start = Callable[..., None]


@pytest.fixture
def start(app_context: None, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Start:
    """``start(NEW, OLD)`` is the start of a machine that has these keys."""
    runtime: Runtime = app.extensions["trellis"]
    settings = runtime.settings

    def start(*keys: str) -> None:
        core = settings.core.model_copy(update={"secret_keys": [SecretStr(key) for key in keys]})
        monkeypatch.setattr(runtime, "settings", replace(settings, core=core))
        require_secret_keys()

    return start


def noted() -> list[str]:
    table = Installation.__table__
    keys: str = fetch_value(table.select().with_only_columns(table.c.secret_keys))
    return keys.split()


def test_the_first_start_notes_the_key_that_encrypts(start: Start) -> None:
    start(OLD, OTHER)
    start(OLD)
    assert noted() == [fingerprint(OLD)]


def test_a_machine_with_another_key_is_refused(start: Start) -> None:
    start(OLD)
    with pytest.raises(StartError) as refused:
        start(OTHER, NEW)
    assert str(refused.value) == (
        "secret_keys: this installation's secrets need the key with fingerprint "
        f"{fingerprint(OLD)}, and here is {fingerprint(OTHER)}, {fingerprint(NEW)}; "
        "give it that key, behind a new one."
    )
    assert noted() == [fingerprint(OLD)]


def test_a_rotation_keeps_the_old_key(start: Start) -> None:
    start(OLD)
    with pytest.raises(StartError):
        start(NEW)
    start(NEW, OLD)
    assert noted() == [fingerprint(OLD), fingerprint(NEW)]
    start(NEW)  # which its user does when nothing is left that the old one encrypted


def test_a_machine_that_a_rotation_has_not_reached(start: Start) -> None:
    start(OLD)
    start(NEW, OLD)
    start(OLD, NEW)  # reads what the first one writes, and changes nothing
    with pytest.raises(StartError):
        start(OLD)
    assert noted() == [fingerprint(OLD), fingerprint(NEW)]


def test_of_two_first_starts_at_once_with_a_key_each_one_serves(
    trellis: Command, database_url: str
) -> None:
    with (
        trellis.running("scheduler", TRELLIS_SECRET_KEYS=OLD) as one,
        trellis.running("scheduler", TRELLIS_SECRET_KEYS=NEW) as two,
    ):
        until(lambda: 2 in (one.poll(), two.poll()), "the end of one")
        assert None in (one.poll(), two.poll())
    assert "trellis: secret_keys: this installation's secrets need the key" in trellis.output
    with psycopg.connect(database_url) as database:
        rows = database.execute("SELECT secret_keys FROM core_installation").fetchall()
    assert rows in ([(fingerprint(OLD),)], [(fingerprint(NEW),)])
    for sentence in refusals(trellis, "serve", "worker light", TRELLIS_SECRET_KEYS=OTHER):
        assert sentence.startswith("secret_keys: this installation's secrets need the key")
        assert OTHER not in sentence


def test_keys_are_looked_at_while_migrations_of_the_core_are_pending(
    trellis: Command, database_url: str
) -> None:
    with psycopg.connect(database_url) as database:
        database.execute("UPDATE core_installation SET secret_keys = %s", [fingerprint(OLD)])
        database.execute("UPDATE core_alembic_version SET version_num = '5d181d03695b'")
    for sentence in refusals(trellis, "serve", "worker light", TRELLIS_SECRET_KEYS=OTHER):
        assert sentence.startswith("secret_keys: this installation's secrets need the key")


@pytest.mark.nightly
def test_of_two_that_served_before_there_was_a_table_one_is_ready(
    trellis: Command, empty_url: str
) -> None:
    ports = [free_port(), free_port()]
    trellis.environ["TRELLIS_DATABASE_URL"] = empty_url
    with (
        trellis.running("web", TRELLIS_SECRET_KEYS=OLD, TRELLIS_PORT=str(ports[0])),
        trellis.running("web", TRELLIS_SECRET_KEYS=NEW, TRELLIS_PORT=str(ports[1])),
    ):
        until(lambda: {checks(port).get("migrations") for port in ports} == {"failed"}, "both")
        assert trellis("db", "upgrade").returncode == 0

        def told() -> list[str]:
            return sorted(checks(port)["secret_keys"] for port in ports)

        until(lambda: told() == ["foreign", "ok"], "one that is ready, and one that is not")


def checks(port: int) -> dict[str, str]:
    """What a process says of its parts."""
    try:
        answer = httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=10)
    except httpx2.TransportError:
        return {}
    told: dict[str, str] = answer.json()["checks"]
    return told
