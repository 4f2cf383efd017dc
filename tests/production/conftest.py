"""Real servers for what production stands on: S3, PostgreSQL, Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.production.command import Command
from tests.production.s3 import S3
from tests.proxy import Proxy
from tests.servers import RedisServer

from trellis.testing.postgresql import PostgreSQL


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    with S3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """A server with an empty bucket."""
    s3_server.empty()
    return s3_server


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    """In front of the S3 server."""
    proxy = Proxy(s3.port)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def template(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database, to be copied."""
    postgresql.execute("CREATE DATABASE production_template")
    url = postgresql.url("production_template")
    migrated = Command(tmp_path_factory.mktemp("template"), {"TRELLIS_DATABASE_URL": url})(
        "db", "upgrade"
    )
    assert migrated.returncode == 0, migrated.stderr
    return "production_template"


@pytest.fixture
def database_url(postgresql: PostgreSQL, template: str) -> Iterator[str]:
    """A migrated database without rows."""
    with _database(postgresql, f"TEMPLATE {template}") as url:
        yield url


@pytest.fixture
def empty_url(postgresql: PostgreSQL) -> Iterator[str]:
    """A database without tables."""
    with _database(postgresql) as url:
        yield url


@contextmanager
def _database(server: PostgreSQL, like: str = "") -> Iterator[str]:
    name = f"production_{secrets.token_hex(6)}"
    server.execute(f"CREATE DATABASE {name} {like}")
    try:
        yield server.url(name)
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def trellis(tmp_path: Path, database_url: str, redis_server: RedisServer) -> Command:
    """Commands of an installation with PostgreSQL, Redis and a directory."""
    ways = {"TRELLIS_DATABASE_URL": database_url, "TRELLIS_REDIS_URL": redis_server.url()}
    return Command(tmp_path, ways)
