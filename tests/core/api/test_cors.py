"""Pages of named origins may call every part of the API, whoever answers (statement E-15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Flask
from tests.core.cache.conftest import Node
from tests.core.cache.test_front import without_flask
from tests.core.stream.conftest import running
from tests.processes import until

from trellis.app import create_app
from trellis.cache import current_cache
from trellis.db.base import db
from trellis.settings import SettingsError, load_settings
from trellis.stream.asgi import Application, Streams, front
from trellis.testing.identity import Issuer

ORIGIN = "https://app.example.org"
FROM_PAGE = {"Origin": ORIGIN}
ASSETS = "/v1/media/assets"
KEYS = "/.well-known/jwks.json"


@pytest.fixture
def listed(app_environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An application of a process that serves requests, with one origin in its settings."""
    monkeypatch.setenv("TRELLIS_CORS_ORIGINS", ORIGIN)
    monkeypatch.setenv("TRELLIS_CACHE_LOCAL_BYTES", "1000000")
    app = create_app()
    yield app
    app.extensions["trellis"].announcer.settle()
    with app.app_context():
        current_cache().follow.__self__.end()  # type: ignore[attr-defined]
        db.engine.dispose()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", KEYS, 200),
        ("HEAD", KEYS, 200),
        ("GET", ASSETS, 401),
        ("GET", "/v1/nothing", 404),
        ("PUT", ASSETS, 405),
        ("GET", "/v1/stream", 401),
        ("GET", "/health/live", 200),
        ("GET", "/v1/openapi.json", 200),
        ("OPTIONS", ASSETS, 200),
    ],
)
def test_e15_every_answer_may_be_read(listed: Flask, method: str, path: str, status: int) -> None:
    answer = listed.test_client().open(path, method=method, headers=FROM_PAGE)
    assert answer.status_code == status
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [ORIGIN]
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert answer.headers["Vary"].split(", ")[-1] == "Origin"


def test_an_unexpected_fault_may_be_read(listed: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "dispatch_request", lambda: 1 / 0)
    listed.config["PROPAGATE_EXCEPTIONS"] = False
    answer = listed.test_client().get(KEYS, headers=FROM_PAGE)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (500, ORIGIN)


def test_e15_a_preflight_needs_no_credentials(listed: Flask) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "a, b"}
    answer = listed.test_client().options(ASSETS, headers=FROM_PAGE | asked)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Headers"] == "a, b"
    other = listed.test_client().options(ASSETS, headers={"Origin": "https://b.example"} | asked)
    assert "Access-Control-Allow-Origin" not in other.headers


def test_what_is_kept_is_given_to_each_origin_as_its_own(listed: Flask) -> None:
    signed_in = Issuer(listed).user()
    client, node = listed.test_client(), cast("Node", SimpleNamespace(app=listed))

    def before_flask(headers: dict[str, str]) -> Any:
        found: list[Any] = []

        def kept() -> bool:
            client.get(ASSETS, headers=signed_in)  # from whom on something is kept
            client.get(KEYS)
            found[:] = without_flask(node, KEYS, headers)
            return bool(found)

        until(kept, "an answer before Flask")
        return found[0]

    plain = before_flask({})
    assert "Access-Control-Allow-Origin" not in plain.headers
    assert plain.headers["Vary"].split(", ")[-1] == "Origin"
    for _ in range(2):  # nothing is left behind in what is kept
        named = before_flask(FROM_PAGE)
        assert named.headers.getlist("Access-Control-Allow-Origin") == [ORIGIN]
        assert named.headers.getlist("Vary") == plain.headers.getlist("Vary")
    unchanged = before_flask({**FROM_PAGE, "If-None-Match": plain.headers["ETag"]})
    assert (unchanged.status_code, unchanged.headers["Access-Control-Allow-Origin"]) == (
        304,
        ORIGIN,
    )
    assert "ETag" in unchanged.headers["Access-Control-Expose-Headers"].split(", ")


@pytest.mark.parametrize("make", [Streams, front])
def test_e15_a_stream_may_be_read(listed: Flask, make: Callable[[Flask], Application]) -> None:
    as_user = Issuer(listed).user

    async def scene() -> None:
        async with running(make(listed)) as served:
            phone = await served.connect({**as_user(), **FROM_PAGE})
            assert phone.status == 200
            assert phone.headers["access-control-allow-origin"] == ORIGIN
            assert "origin" in phone.headers["vary"].lower()
            assert phone.headers["cache-control"] == "no-store"
            assert phone.headers["x-accel-buffering"] == "no"
            assert "content-length" not in phone.headers
            assert (await phone.lines())["retry"] == "2000"
            await phone.leave()
            refused = await served.connect(FROM_PAGE)
            assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
            other = await served.connect({**as_user(), "Origin": "https://b.example"})
            assert (other.status, "access-control-allow-origin" in other.headers) == (200, False)
            await other.leave()
            asked = {**FROM_PAGE, "Access-Control-Request-Method": "GET"}
            preflight = await served.connect(asked, method="OPTIONS")
            assert preflight.status == 204
            assert preflight.headers["access-control-allow-origin"] == ORIGIN

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_without_the_setting_nothing_is_told(app: Flask) -> None:
    headers = app.test_client().get(KEYS, headers=FROM_PAGE).headers
    assert not [name for name, _ in headers if name.startswith("Access-Control-")]
    assert "Origin" not in headers.get("Vary", "")


@pytest.mark.parametrize("listed", ["*", f"{ORIGIN},*", f"{ORIGIN}/", "null"])
def test_a_start_refuses_what_is_no_origin(listed: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"TRELLIS_CORS_ORIGINS": listed}, tmp_path)
    [fault] = caught.value.faults
    assert fault.startswith("cors_origins.")
    assert "each must be one origin as browsers send it: scheme://host" in fault
