"""Faults that are part of the day are told in a line, not as errors with tracebacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from tests.processes import until
from tests.production.command import Command
from tests.proxy import Proxy
from tests.servers import RedisServer

from trellis.testing.postgresql import PostgreSQL


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that may be killed."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


def lines(trellis: Command) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trellis.output.splitlines() if line.startswith("{")]


def holds(redis: RedisServer, key: str) -> bool:
    with redis.client() as client:
        return bool(client.exists(key))


def said(trellis: Command, event: str) -> bool:
    return any(line["event"] == event for line in lines(trellis))


def test_a_scheduler_whose_database_restarts_tells_that_it_is_away(
    trellis: Command, redis: RedisServer, postgresql: PostgreSQL, database_url: str
) -> None:
    proxy = Proxy(postgresql.port)
    through = make_url(database_url).set(port=proxy.port)
    ways = {
        "TRELLIS_DATABASE_URL": through.render_as_string(hide_password=False),
        "TRELLIS_REDIS_URL": redis.url(),
    }
    try:
        with trellis.running("scheduler", **ways):
            until(lambda: holds(redis, "rq:queue:trellis-light"), "a tick, which wakes workers")
            proxy.refuse()
            until(lambda: said(trellis, "database_away"), "a line that tells it")
            proxy.restore()
    finally:
        proxy.close()
    assert not said(trellis, "scheduler_tick_failed")
    assert "Traceback" not in trellis.output
