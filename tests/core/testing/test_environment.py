"""Applications of one test process do not meet, in whatever order they begin and end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from flask import Flask
from sqlalchemy import QueuePool

from trellis.db.base import db
from trellis.testing.databases import on_sqlite
from trellis.testing.environment import Environment
from trellis.testing.plugin import pytest_configure


def test_no_application_leaves_settings_in_the_environment(tmp_path: Path) -> None:
    before = dict(os.environ)
    with ExitStack() as first, ExitStack() as second:
        for stack, name in ((first, "first"), (second, "second")):
            directory = tmp_path / name
            directory.mkdir()
            database = stack.enter_context(on_sqlite(directory))
            environment = stack.enter_context(Environment.started(directory, database))
            assert environment.variables["TRELLIS_DATA_DIR"] == str(directory)
            assert dict(os.environ) == before
        first.close()
        environment.reset()
        assert dict(os.environ) == before


def test_what_a_test_starts_finds_the_settings_of_its_application(
    trellis_environment: Environment, app_environ: Mapping[str, str]
) -> None:
    assert app_environ["TRELLIS_DATA_DIR"] == str(trellis_environment.data_dir)
    assert {name: os.environ[name] for name in app_environ} == app_environ


def test_what_a_test_starts_finds_nobody_connected(
    app: Flask, request: pytest.FixtureRequest
) -> None:
    with app.app_context():
        pool = cast("QueuePool", db.engine.pool)
        with db.engine.connect(), db.engine.connect():
            pass
        assert pool.checkedin() >= 2  # with those that tests before have left
        request.getfixturevalue("app_environ")
        assert cast("QueuePool", db.engine.pool).checkedin() == 0


def test_settings_of_the_user_are_not_those_of_tests(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRELLIS_DATABASE_URL", "postgresql://my-own/data")
    pytest_configure(pytestconfig)
    assert "TRELLIS_DATABASE_URL" not in os.environ
