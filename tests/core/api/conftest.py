"""A small application around the blueprints of a test, with an identity that knows four tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, g
from redis import Redis

from trellis.api import Blueprint, init_api
from trellis.cache import init_cache
from trellis.contracts import Identity, Principal
from trellis.errors import Unauthenticated
from trellis.runtime import Runtime
from trellis.settings import load_settings

ADA = Principal(UUID(int=1), "user", frozenset({"things.write"}))
BOB = Principal(UUID(int=2), "user")
ROBOT = Principal(UUID(int=3), "service", frozenset({"things.write"}))


class Tokens:
    """An identity whose tokens are names; it counts how often it is asked."""

    known = {"Bearer ada": ADA, "Bearer bob": BOB, "Bearer robot": ROBOT}

    def __init__(self) -> None:
        self.asked = 0

    def authenticate(self, authorization: str | None) -> Principal | None:
        self.asked += 1
        if authorization is None or not authorization.startswith("Bearer "):
            return None
        if authorization not in self.known:
            raise Unauthenticated("The token has expired.")
        return self.known[authorization]


def number_request() -> None:
    g.request_id = "request-1"


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def make_app(tokens: Tokens, tmp_path: Path) -> Callable[..., Flask]:
    """An application serving the given blueprints, each for the plugin that it names."""

    def make(*blueprints: Blueprint, faults: list[Any] | None = None, **config: Any) -> Flask:
        app = Flask("trellis", static_folder=None, template_folder=None)
        settings = load_settings({}, environ={"TRELLIS_ENVIRONMENT": "testing"}, cwd=tmp_path)
        app.extensions["trellis"] = Runtime(
            settings, Redis.from_url("redis://127.0.0.1:1"), "", ports={Identity: tokens}
        )
        init_cache(app, "redis://127.0.0.1:1")
        app.config.update(TESTING=True, MAX_CONTENT_LENGTH=10_000, **config)
        app.before_request(number_request)
        found = init_api(
            app,
            [(blueprint.plugin, blueprint) for blueprint in blueprints],
            public_url="https://api.example.com",
            version="1.2.3",
        )
        if faults is None:
            assert found == []
        else:
            faults.extend(found)
        return app

    return make
