"""Health tells what works, whatever the parts do."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis
from tests.core.observe.conftest import MakeApp, body

from trellis.local.broker import Broker
from trellis.storage import core_storage
from trellis.storage.mark import settle


def test_alive_is_alive(client: FlaskClient) -> None:
    response = client.get("/health/live")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert response.headers["Cache-Control"] == "no-store"


def test_ready_when_all_parts_work(make_app: MakeApp) -> None:
    response = make_app(migrated=True).test_client().get("/health/ready")
    parts = ("database", "migrations", "clock", "broker", "storage", "secret_keys")
    assert body(response)["status"] == "ok"
    assert body(response)["checks"] == dict.fromkeys(parts, "ok")
    assert abs(body(response)["clock_offset_seconds"]) < 5
    assert response.headers["Cache-Control"] == "no-store"


def test_without_a_broker_it_is_degraded(make_app: MakeApp, tmp_path: Path) -> None:
    client = make_app(f"unix://{tmp_path}/nothing", migrated=True).test_client()
    response = client.get("/health/ready")
    assert response.status_code == 200
    assert body(response)["status"] == "degraded"
    assert body(response)["checks"]["broker"] == "failed"


def test_a_broker_that_hangs_costs_a_second_and_one_thread(
    make_app: MakeApp, tmp_path: Path
) -> None:
    with Broker(tmp_path / "own") as broker:
        app = make_app(broker.url, migrated=True)
        client = app.test_client()
        with Redis.from_url(broker.url) as redis:
            pid = int(redis.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            before = threading.active_count()
            for _ in range(3):
                started = time.monotonic()
                response = client.get("/health/ready")
                assert time.monotonic() - started < 10  # the client itself would wait for 30
                assert body(response)["checks"]["broker"] in ("failed", "timeout")
            assert threading.active_count() <= before + 1
        finally:
            os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 10
        while body(client.get("/health/ready"))["status"] != "ok":
            assert time.monotonic() < deadline


def test_f22_without_a_thread_for_its_questions_it_is_not_ready_until_there_is_one(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_app(migrated=True).test_client()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", start)
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert set(body(response)["checks"].values()) == {"failed"}
    assert body(client.get("/health/ready"))["status"] == "ok"


def test_without_a_database_it_is_not_ready(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(TRELLIS_DATABASE_URL=f"sqlite:///{tmp_path}/gone/trellis.db")
    response = app.test_client().get("/health/ready")
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert body(response)["checks"]["database"] == "failed"
    assert body(response)["code"] == "core.service_unavailable"


def test_a_storage_that_is_away_degrades_and_another_one_is_not_ready(
    make_app: MakeApp, tmp_path: Path
) -> None:
    app = make_app(migrated=True)
    with app.app_context():
        settle(core_storage())
    mark = tmp_path / "var/objects/.trellis"
    mark.rename(tmp_path / "away")
    response = app.test_client().get("/health/ready")
    assert response.status_code == 503
    assert body(response)["checks"]["storage"] == "foreign"

    mark.write_text("a file where the directory was")
    response = make_app().test_client().get("/health/ready")
    assert response.status_code == 200
    assert body(response)["status"] == "degraded"
    assert body(response)["checks"]["storage"] == "failed"


def test_other_keys_than_the_installations_are_not_ready(make_app: MakeApp) -> None:
    """Also where nobody asked at the start: `wsgi:app` under any server."""
    one, two = "one" * 11, "two" * 11
    before = make_app(migrated=True, TRELLIS_SECRET_KEYS=one).test_client()
    assert before.get("/health/ready").status_code == 200
    response = make_app(TRELLIS_SECRET_KEYS=two).test_client().get("/health/ready")
    assert response.status_code == 503
    assert body(response)["checks"]["secret_keys"] == "foreign"

    rotated = make_app(TRELLIS_SECRET_KEYS=json.dumps([two, one])).test_client()
    assert rotated.get("/health/ready").status_code == 200
    assert before.get("/health/ready").status_code == 200  # it runs until its turn has come
    assert make_app(TRELLIS_SECRET_KEYS=one).test_client().get("/health/ready").status_code == 503


def test_pending_migrations_are_not_ready(make_app: MakeApp) -> None:
    response = make_app().test_client().get("/health/ready")
    assert response.status_code == 503
    assert body(response)["checks"]["migrations"] == "failed"
