"""Requests seen from outside: their id, their log line, their figures; health; the audit trail."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from flask import Flask, g
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from sqlalchemy import select, text
from werkzeug.test import TestResponse

import trellis
from trellis.api import access, init_api
from trellis.contracts import BlobStore, Principal
from trellis.db import migrations
from trellis.db.base import db
from trellis.db.engine import init_engine
from trellis.errors import Conflict
from trellis.local.broker import Broker
from trellis.observe import init_observe
from trellis.observe.audit import AuditEntry, record, subject_refs
from trellis.observe.metrics import observe_task
from trellis.observe.statements import counted_statements
from trellis.runtime import Runtime
from trellis.settings import load_settings
from trellis.storage import ObjectStorage, core_storage
from trellis.storage.mark import settle
from trellis.unit_of_work import unit_of_work


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("data")) as broker:
        yield broker


MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(broker: Broker, tmp_path: Path) -> Iterator[MakeApp]:
    made = ExitStack()

    def make(redis_url: str = broker.url, *, migrated: bool = False, **environ: str) -> Flask:
        (tmp_path / "var").mkdir(exist_ok=True)
        settings = load_settings(
            {}, {"TRELLIS_ENVIRONMENT": "testing", "TRELLIS_LOG_LEVEL": "info"} | environ, tmp_path
        )
        app = Flask("trellis")
        redis = made.enter_context(Redis.from_url(redis_url, socket_timeout=30))
        app.extensions["trellis"] = runtime = Runtime(settings, redis, redis_url)
        init_observe(app)
        init_engine(app, settings.core)
        runtime.ports[BlobStore] = ObjectStorage(settings.core)
        public = access(public="a test")
        app.add_url_rule("/things/<int:number>", "thing", public(thing), methods=["GET"])
        app.add_url_rule("/refused", "refused", public(refused))
        app.add_url_rule("/broken", "broken", public(broken))
        init_api(app, [], public_url=settings.core.base_url, version=trellis.__version__)
        if migrated:
            with app.app_context():
                migrations.upgrade()
        return app

    with made:
        yield make


def thing(number: int) -> dict[str, Any]:
    with db.engine.connect() as connection:
        for _ in range(number):
            connection.execute(text("SELECT 1"))
    structlog.get_logger("test").warning("seen")
    return {"request_id": g.get("request_id")}


def refused() -> dict[str, Any]:
    raise Conflict


def broken() -> dict[str, Any]:
    raise RuntimeError("broken")


def body(response: TestResponse) -> dict[str, Any]:
    parsed = response.json
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged since the last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


class TestRequests:
    @pytest.mark.parametrize("given", ["abcdefgh", "A-Z_0-9-" * 8])
    def test_a_sane_id_is_kept(self, client: FlaskClient, given: str) -> None:
        response = client.get("/things/0", headers={"X-Request-Id": given})
        assert response.headers["X-Request-Id"] == given == body(response)["request_id"]

    @pytest.mark.parametrize("given", ["", "short", "a" * 65, "with space in it", "ünïcödë-id"])
    def test_any_other_is_replaced(self, client: FlaskClient, given: str) -> None:
        first, second = (
            client.get("/things/0", headers={"X-Request-Id": given.encode()}) for _ in range(2)
        )
        ids = {first.headers["X-Request-Id"], second.headers["X-Request-Id"]}
        assert len(ids) == 2
        assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/refused", 409),
            ("GET", "/broken", 500),
            ("GET", "/nowhere", 404),
            ("POST", "/refused", 405),
        ],
    )
    def test_every_answer_has_one(
        self, client: FlaskClient, method: str, path: str, status: int
    ) -> None:
        response = client.open(path, method=method)
        assert response.status_code == status
        assert response.headers["X-Request-Id"] == body(response)["request_id"]

    def test_one_line_tells_of_a_request(self, client: FlaskClient, lines: Lines) -> None:
        client.get("/things/3?password=x1y2", headers={"X-Request-Id": "request-1"})
        seen, line = lines()
        assert seen["request_id"] == line["request_id"] == "request-1"
        assert line.pop("duration_ms") >= 0
        assert {key: line[key] for key in ("event", "method", "route", "status", "statements")} == {
            "event": "request",
            "method": "GET",
            "route": "/things/<int:number>",
            "status": 200,
            "statements": 3,
        }
        assert "x1y2" not in repr(line)

    def test_nothing_of_one_request_stays_for_the_next(
        self, client: FlaskClient, lines: Lines
    ) -> None:
        structlog.contextvars.bind_contextvars(left="over")
        client.get("/things/2")
        client.get("/nowhere")
        assert [line["statements"] for line in lines() if line["event"] == "request"] == [2, 0]
        assert "left" not in structlog.contextvars.get_contextvars()

    def test_probes_are_not_logged(self, client: FlaskClient, lines: Lines) -> None:
        client.get("/health/live")
        client.get("/metrics")  # which tells that this database has no queue
        assert [line for line in lines() if "status" in line] == []


class TestStatements:
    def test_a_block_can_count_for_itself(self, make_app: MakeApp) -> None:
        with make_app().app_context():
            with counted_statements() as statements:
                thing(4)
            assert statements.count == 4
            with counted_statements() as statements, unit_of_work() as uow:
                uow.session.execute(text("SELECT 1"))
            assert statements.count == 1


def figures(client: FlaskClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, sorted."""
    page = client.get("/metrics", headers={key.title(): value for key, value in headers.items()})
    assert page.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


class TestMetrics:
    def test_requests_are_counted_by_operation(self, client: FlaskClient) -> None:
        before = figures(client)
        for path in ("/things/1", "/things/2", "/refused", "/nowhere", "/elsewhere"):
            client.get(path)
        after = figures(client)

        def grown(*key: str) -> float:
            place = (key[0], *sorted(key[1:]))
            return after[place] - before.get(place, 0)

        operation = "GET /things/<int:number>"
        assert grown("trellis_requests_total", operation, "200") == 2
        assert grown("trellis_request_seconds_count", operation) == 2
        assert grown("trellis_request_statements_total", operation) == 3
        assert grown("trellis_requests_total", "GET /refused", "409") == 1
        assert grown("trellis_requests_total", "unmatched", "404") == 2

    def test_tasks_are_counted_by_outcome(self, client: FlaskClient) -> None:
        observe_task("media.make", "done", 0.2)
        after = figures(client)
        assert after["trellis_tasks_total", "done", "media.make"] == 1
        assert after["trellis_task_seconds_sum", "media.make"] == pytest.approx(0.2)

    def test_a_token_guards_them(self, make_app: MakeApp) -> None:
        client = make_app(TRELLIS_METRICS_TOKEN="let-me-see").test_client()
        for given in ("", "Bearer", "Bearer let-me", "Basic let-me-see", "Bearer lét-me-see"):
            assert client.get("/metrics", headers={"Authorization": given}).status_code == 401
        assert figures(client, authorization="Bearer let-me-see")

    def test_production_shows_none_without_a_token(self, make_app: MakeApp) -> None:
        production = {"TRELLIS_ENVIRONMENT": "production", "TRELLIS_SECRET_KEYS": "k" * 32}
        client = make_app(**production).test_client()
        assert client.get("/metrics").status_code == 404

    def test_processes_that_share_a_directory_are_added_up(self, tmp_path: Path) -> None:
        code = (
            "from prometheus_client import CollectorRegistry, generate_latest;"
            "from prometheus_client.multiprocess import MultiProcessCollector;"
            "from trellis.observe.metrics import observe_task;"
            "observe_task('media.make', 'done', 1.0); registry = CollectorRegistry();"
            "MultiProcessCollector(registry); print(generate_latest(registry).decode())"
        )
        environ = os.environ | {
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        texts = [
            subprocess.run(
                [sys.executable, "-c", code],
                env=environ,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for _ in range(2)
        ]
        line = 'trellis_tasks_total{outcome="done",task="media.make"} %.1f'
        assert [line % number in texts[number - 1] for number in (1, 2)] == [True, True]


class TestHealth:
    def test_alive_is_alive(self, client: FlaskClient) -> None:
        response = client.get("/health/live")
        assert (response.status_code, response.json) == (200, {"status": "ok"})
        assert response.headers["Cache-Control"] == "no-store"

    def test_ready_when_all_parts_work(self, make_app: MakeApp) -> None:
        response = make_app(migrated=True).test_client().get("/health/ready")
        parts = ("database", "migrations", "clock", "broker", "storage")
        assert body(response)["status"] == "ok"
        assert body(response)["checks"] == dict.fromkeys(parts, "ok")
        assert abs(body(response)["clock_offset_seconds"]) < 5
        assert response.headers["Cache-Control"] == "no-store"

    def test_without_a_broker_it_is_degraded(self, make_app: MakeApp, tmp_path: Path) -> None:
        client = make_app(f"unix://{tmp_path}/nothing", migrated=True).test_client()
        response = client.get("/health/ready")
        assert response.status_code == 200
        assert body(response)["status"] == "degraded"
        assert body(response)["checks"]["broker"] == "failed"

    def test_a_broker_that_hangs_costs_a_second_and_one_thread(
        self, make_app: MakeApp, tmp_path: Path
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
        self, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
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

    def test_without_a_database_it_is_not_ready(self, make_app: MakeApp, tmp_path: Path) -> None:
        app = make_app(TRELLIS_DATABASE_URL=f"sqlite:///{tmp_path}/gone/trellis.db")
        response = app.test_client().get("/health/ready")
        assert response.status_code == 503
        assert response.content_type == "application/problem+json"
        assert body(response)["checks"]["database"] == "failed"
        assert body(response)["code"] == "core.service_unavailable"

    def test_a_storage_that_is_away_degrades_and_another_one_is_not_ready(
        self, make_app: MakeApp, tmp_path: Path
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

    def test_pending_migrations_are_not_ready(self, make_app: MakeApp) -> None:
        response = make_app().test_client().get("/health/ready")
        assert response.status_code == 503
        assert body(response)["checks"]["migrations"] == "failed"


class TestAudit:
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Iterator[Flask]:
        app = make_app(migrated=True, TRELLIS_SECRET_KEYS=f"{'n' * 32},{'o' * 32}")
        with app.app_context():
            yield app

    def test_an_entry_commits_with_its_change(self, app: Flask) -> None:
        user_id = uuid4()
        with unit_of_work() as uow:
            record(uow, "shop.order_refused", subject=user_id, order="o1", items=3)
        with suppress(RuntimeError), unit_of_work() as uow:
            record(uow, "shop.lost")
            raise RuntimeError
        [entry] = self.entries()
        assert (entry.action, entry.actor_kind) == ("shop.order_refused", "system")
        assert entry.details == {"order": "o1", "items": 3}
        assert entry.at.tzinfo is not None

    def test_the_person_is_found_from_the_id_and_not_the_reverse(self, app: Flask) -> None:
        user_id = uuid4()
        with unit_of_work() as uow:
            record(uow, "shop.order_refused", subject=user_id)
        [entry] = self.entries()
        assert entry.subject_ref == subject_refs(user_id)[0]
        assert len(set(subject_refs(user_id))) == 2  # one for each key
        row = repr([getattr(entry, column.key) for column in AuditEntry.__table__.columns])
        assert str(user_id) not in row
        assert user_id.hex not in row

    def test_the_actor_is_the_caller(self, app: Flask) -> None:
        operator = Principal(
            id=uuid4(), kind="operator", permissions=frozenset(), session_id=None, device_id=None
        )
        with app.test_request_context("/"):
            g.principal = operator
            with unit_of_work() as uow:
                record(uow, "shop.closed")
        [entry] = self.entries()
        assert entry.actor_kind == "operator"

    def test_details_are_json(self, app: Flask) -> None:
        with pytest.raises(TypeError), unit_of_work() as uow:
            record(uow, "shop.closed", by=uuid4())
        assert self.entries() == []

    @staticmethod
    def entries() -> list[AuditEntry]:
        with unit_of_work() as uow:
            entries = list(uow.session.scalars(select(AuditEntry)))
            uow.session.expunge_all()
            return entries
