"""PostgreSQL ends, restarts or refuses: requests are repeated or told, and all heals by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from tests.core.db.away.conftest import end_connections
from tests.processes import free_port
from werkzeug.test import TestResponse

from trellis.app import create_app
from trellis.db import fetch_value
from trellis.db.base import db
from trellis.outbox.models import OutboxRow
from trellis.testing.postgresql import PostgreSQL
from trellis.unit_of_work import unit_of_work

Headers = dict[str, str]
EVENTS = "/v1/analytics/events"
ASSETS = "/v1/media/assets"


def events(number: int) -> dict[str, Any]:
    event = {
        "id": f"01990000-0000-7000-8000-{number:012d}",
        "name": "opened",
        "occurred_at": "2026-11-22T12:00:00Z",
        "properties": {},
    }
    return {"events": [event]}


def is_unavailable(response: TestResponse) -> bool:
    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (503, "core.service_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    return True


def work(app: Flask) -> int:
    with app.app_context():
        return int(fetch_value(select(func.count()).select_from(OutboxRow)))


@contextmanager
def replaced(app: Flask, endpoint: str, view: Callable[..., Any]) -> Iterator[None]:
    own = app.view_functions[endpoint]
    view.__dict__.update(own.__dict__)  # what its decorators stated
    app.view_functions[endpoint] = view
    try:
        yield
    finally:
        app.view_functions[endpoint] = own


def test_f09_a_killed_database_is_told_and_healed_without_a_restart(
    app: Flask, client: FlaskClient, ada: Headers, server: PostgreSQL
) -> None:
    assert client.post(EVENTS, json=events(1), headers=ada).status_code == 202
    server.kill()
    try:
        assert is_unavailable(client.get(ASSETS, headers=ada))
        assert is_unavailable(client.post(EVENTS, json=events(2), headers=ada))
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
    finally:
        server.start()
    assert client.get(ASSETS, headers=ada).status_code == 200
    answer = client.post(EVENTS, json=events(1), headers=ada).get_json()
    assert answer["duplicates"] == 1, "what was acknowledged is there"
    assert client.get("/health/ready").status_code == 200


def test_f11_ended_connections_cost_nobody_an_error(
    client: FlaskClient, ada: Headers, server: PostgreSQL
) -> None:
    for number in range(5):
        end_connections(server)
        assert client.get(ASSETS, headers=ada).status_code == 200
        end_connections(server)
        assert client.post(EVENTS, json=events(number), headers=ada).status_code == 202


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k-1"}], ids=["without key", "with key"])
def test_f11_a_connection_that_ends_before_the_commit_is_used_once_more(
    app: Flask, client: FlaskClient, ada: Headers, server: PostgreSQL, key: Headers
) -> None:
    calls: list[int] = []

    def view(**_: Any) -> Any:
        calls.append(1)
        with unit_of_work() as uow:
            uow.session.execute(text("SELECT 1"))
            if len(calls) == 1:
                end_connections(server)
            uow.enqueue("core.purge_outbox")
        return {"accepted": 1, "duplicates": 0, "rejected": []}

    with replaced(app, "analytics.track", view):
        assert client.post(EVENTS, json=events(1), headers=ada | key).status_code == 200
    assert (len(calls), work(app)) == (2, 1)


def test_f11_what_was_committed_in_part_is_not_begun_again(
    app: Flask, client: FlaskClient, ada: Headers, server: PostgreSQL
) -> None:
    calls: list[int] = []

    def view(**_: Any) -> Any:
        calls.append(1)
        with unit_of_work() as uow:
            uow.enqueue("core.purge_outbox")
        with unit_of_work() as uow:
            uow.session.execute(text("SELECT 1"))
            end_connections(server)
            uow.session.execute(text("SELECT 1"))

    with replaced(app, "analytics.track", view):
        assert is_unavailable(client.post(EVENTS, json=events(1), headers=ada))
    assert (len(calls), work(app)) == (1, 1)


def test_f12_of_two_that_deadlock_both_succeed(app: Flask, ada: Headers) -> None:
    meet = threading.Barrier(2, timeout=30)
    calls: list[str] = []

    def view(**_: Any) -> Any:
        first, second = (1, 2) if not calls else (2, 1)
        again = len(calls) >= 2
        calls.append("")
        with unit_of_work() as uow:
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            uow.session.execute(lock, {"key": first})
            if not again:
                meet.wait()
            uow.session.execute(lock, {"key": second})
            uow.enqueue("core.purge_outbox")
        return {"accepted": 1, "duplicates": 0, "rejected": []}

    def call(number: int) -> int:
        with app.test_client() as client:
            return client.post(EVENTS, json=events(number), headers=ada).status_code

    with replaced(app, "analytics.track", view), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(call, (1, 2))) == [200, 200]
    assert (len(calls), work(app)) == (3, 2)


def test_f12_a_refused_serialization_is_tried_again_three_times(
    app: Flask, client: FlaskClient, ada: Headers
) -> None:
    calls: list[int] = []
    refuse = text(
        "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'serialization_failure'; END $$"
    )

    def view(**_: Any) -> Any:
        calls.append(1)
        with unit_of_work() as uow:
            uow.enqueue("core.purge_outbox")
            uow.session.execute(refuse)

    with replaced(app, "analytics.track", view):
        assert is_unavailable(client.post(EVENTS, json=events(1), headers=ada))
    assert (len(calls), work(app)) == (4, 0)


def test_an_upload_is_read_again_from_its_beginning(
    app: Flask, client: FlaskClient, ada: Headers, server: PostgreSQL
) -> None:
    from trellis_demo.phone import PHOTO

    own = app.view_functions["media.upload_asset"]
    calls: list[int] = []

    def view(**arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            return own(**arguments)
        with unit_of_work() as uow:
            uow.session.execute(text("SELECT 1"))
            own(**arguments)  # reads the file to its end
            end_connections(server)
            return uow.session.execute(text("SELECT 1"))

    with replaced(app, "media.upload_asset", view), PHOTO.open("rb") as file:
        answer = client.post(ASSETS, data={"file": (file, "photo.jpg")}, headers=ada)
    assert answer.status_code == 201, answer.text
    assert answer.get_json()["size"] == PHOTO.stat().st_size


def test_a_statement_that_takes_too_long_is_ended_and_told(
    app: Flask, client: FlaskClient, ada: Headers
) -> None:
    def view(**_: Any) -> Any:
        with unit_of_work() as uow:
            uow.session.execute(text("SET LOCAL statement_timeout = '50ms'"))
            uow.session.execute(text("SELECT pg_sleep(60)"))

    with replaced(app, "analytics.track", view):
        assert is_unavailable(client.post(EVENTS, json=events(1), headers=ada))


def test_every_connection_has_its_bounds(app: Flask) -> None:
    with app.app_context():
        bounds = {
            name: fetch_value(select(func.current_setting(name)))
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "synchronous_commit",
            )
        }
        pool: Any = db.engine.pool
        assert pool.size() == 10
    assert bounds == {
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "15s",
        "synchronous_commit": "on",
    }


def test_a_fault_of_ours_stays_a_fault_of_ours(
    app: Flask, client: FlaskClient, ada: Headers
) -> None:
    def view(**_: Any) -> Any:
        with unit_of_work() as uow:
            uow.session.execute(text("SELECT nothing FROM nowhere"))

    with replaced(app, "analytics.track", view):
        assert client.post(EVENTS, json=events(1), headers=ada).status_code == 500


def test_more_requests_than_connections_wait_or_are_told(
    app: Flask, ada: Headers, server: PostgreSQL
) -> None:
    def call(number: int) -> int:
        with app.test_client() as client:
            return client.post(EVENTS, json=events(number), headers=ada).status_code

    with ThreadPoolExecutor(30) as pool:
        assert set(pool.map(call, range(90))) == {202}
    held = server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trellis'"
    )
    assert held[0][0] in range(1, 11)


def test_nothing_listens_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRELLIS_ENVIRONMENT", "testing")
    monkeypatch.setenv("TRELLIS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRELLIS_DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    monkeypatch.setenv("TRELLIS_REDIS_URL", "redis://127.0.0.1:1")
    app = create_app()  # which asks nothing of it
    assert is_unavailable(
        app.test_client().get("/v1/erasures/01990000-0000-7000-8000-000000000001")
    )
