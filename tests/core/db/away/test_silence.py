"""PostgreSQL hangs: nobody waits long for it, and what is only slow is waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.processes import until

from trellis.db import fetch_value
from trellis.db.base import db
from trellis.testing.postgresql import PostgreSQL

SESSIONS = "/v1/auth/sessions"  # never a kept answer
EVENTS = "/v1/analytics/events"
_SOON = 10.0
"""Seconds: far more than the promise, far less than until the kernel gives a connection up."""

Headers = dict[str, str]


@pytest.fixture
def everybody(app: Flask, ada: Headers) -> Callable[[], list[tuple[int, bool]]]:
    """``everybody()`` reads and writes at once: status of each answer, and when to come again."""

    def call(number: int) -> tuple[int, bool]:
        with app.test_client() as client:
            method, path = ("GET", SESSIONS) if number % 2 else ("POST", EVENTS)
            event = {
                "id": str(uuid4()),
                "name": "opened",
                "occurred_at": "2026-11-22T12:00:00Z",
                "properties": {},
            }
            json = None if method == "GET" else {"events": [event]}
            answer = client.open(path, method=method, headers=ada, json=json)
            return answer.status_code, "Retry-After" in answer.headers

    def calls() -> list[tuple[int, bool]]:
        pool = ThreadPoolExecutor(8)
        try:
            return [one.result(_SOON) for one in [pool.submit(call, n) for n in range(40)]]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    return calls


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "not yet connected"])
def test_f10_all_are_told_soon_and_served_again_when_it_answers(
    app: Flask,
    client: FlaskClient,
    server: PostgreSQL,
    everybody: Callable[[], list[tuple[int, bool]]],
    connected: bool,
) -> None:
    assert {status for status, _ in everybody()} == {200, 202}
    if not connected:
        with app.app_context():
            db.engine.dispose()
    with server.silent():
        assert set(everybody()) == {(503, True)}
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.get_json()["checks"]["database"] in ("failed", "timeout")
        assert client.get("/health/live").status_code == 200
    until(lambda: client.get("/health/ready").status_code == 200, "ready again")
    assert {status for status, _ in everybody()} == {200, 202}


def sleep(app: Flask, seconds: float) -> None:
    with app.app_context():
        fetch_value(select(func.pg_sleep(seconds)))


def test_what_takes_long_is_waited_for(app: Flask) -> None:
    sleep(app, 4.5)


def test_who_is_answered_elsewhere_is_not_given_up(app: Flask, server: PostgreSQL) -> None:
    """No new connection is to be had; those that are open work, and one of them takes long."""
    sleep(app, 0)
    with ThreadPoolExecutor(2) as pool:
        short = [pool.submit(sleep, app, 0.0) for _ in range(2)]  # both have a connection each
        assert all(one.result(_SOON) is None for one in short)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            long = pool.submit(sleep, app, 4.5)
            while not long.done():
                pool.submit(sleep, app, 0.1).result(_SOON)
            long.result()
        finally:
            os.kill(server.pid, signal.SIGCONT)
