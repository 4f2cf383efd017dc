"""An application on a PostgreSQL of its own, which a test may end, restart or silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from trellis.testing.databases import PostgreSQLDatabase
from trellis.testing.environment import Environment
from trellis.testing.identity import Issuer
from trellis.testing.postgresql import DURABLE, PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    server = PostgreSQL(DURABLE)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def environment(
    server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    database = PostgreSQLDatabase(server.url())
    with Environment.started(tmp_path_factory.mktemp("away"), database) as environment:
        yield environment
    database.drop()


@pytest.fixture
def app(environment: Environment) -> Flask:
    environment.reset()
    return environment.app


@pytest.fixture
def ada(app: Flask) -> dict[str, str]:
    """The headers of one who is signed in."""
    return Issuer(app).user()


def end_connections(server: PostgreSQL) -> None:
    """End those of the application, as a restart of the database does."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trellis'"
    )
