"""A request seen from outside: its id, its one log line, its statements."""

from __future__ import annotations

import re

import pytest
import structlog
from flask.testing import FlaskClient
from sqlalchemy import text
from tests.core.observe.conftest import Lines, MakeApp, body, thing

from trellis.observe.statements import counted_statements
from trellis.unit_of_work import unit_of_work


@pytest.mark.parametrize("given", ["abcdefgh", "A-Z_0-9-" * 8])
def test_a_sane_id_is_kept(client: FlaskClient, given: str) -> None:
    response = client.get("/things/0", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == given == body(response)["request_id"]


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "with space in it", "ünïcödë-id"])
def test_any_other_is_replaced(client: FlaskClient, given: str) -> None:
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
def test_every_answer_has_one(client: FlaskClient, method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert response.headers["X-Request-Id"] == body(response)["request_id"]


def test_one_line_tells_of_a_request(client: FlaskClient, lines: Lines) -> None:
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


def test_nothing_of_one_request_stays_for_the_next(client: FlaskClient, lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(left="over")
    client.get("/things/2")
    client.get("/nowhere")
    assert [line["statements"] for line in lines() if line["event"] == "request"] == [2, 0]
    assert "left" not in structlog.contextvars.get_contextvars()


def test_probes_are_not_logged(client: FlaskClient, lines: Lines) -> None:
    client.get("/health/live")
    client.get("/metrics")  # which tells that this database has no queue
    assert [line for line in lines() if "status" in line] == []


def test_a_block_can_count_for_itself(make_app: MakeApp) -> None:
    with make_app().app_context():
        with counted_statements() as statements:
            thing(4)
        assert statements.count == 4
        with counted_statements() as statements, unit_of_work() as uow:
            uow.session.execute(text("SELECT 1"))
        assert statements.count == 1
