"""A small application that is observed, and what it said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask import Flask, g
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text
from werkzeug.test import TestResponse

import trellis
from trellis.api import access, init_api
from trellis.contracts import BlobStore
from trellis.db import migrations
from trellis.db.base import db
from trellis.db.engine import init_engine
from trellis.errors import Conflict
from trellis.local.broker import Broker
from trellis.observe import init_observe
from trellis.routes import add_views
from trellis.runtime import Runtime
from trellis.settings import load_settings
from trellis.storage import ObjectStorage


@pytest.fixture(scope="session")
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
        add_views(app)
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
