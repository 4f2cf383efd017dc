"""Real servers for what production stands on: S3, PostgreSQL, Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
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
