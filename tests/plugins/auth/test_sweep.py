from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.plugins.auth.conftest import PASSWORD, Person

from trellis.db import Model, fetch_all, fetch_value
from trellis.unit_of_work import unit_of_work
from trellis_auth import services
from trellis_auth.models import Attempt, Code, Session, User
from trellis_auth.services import upkeep

Age = Callable[..., None]


def count(app: Flask, model: type[Model]) -> int:
    with app.app_context():
        return int(fetch_value(select(func.count()).select_from(model)))


def sweep(app: Flask) -> None:
    with app.app_context():
        services.sweep()


def sign_up(client: FlaskClient, email: str) -> None:
    client.post("/v1/auth/accounts", json={"email": email, "password": PASSWORD})


def test_expired_sessions_end_with_an_event_and_go_a_day_later(
    app: Flask, ada: Person, age: Age, feed: Callable[[], list[dict[str, Any]]]
) -> None:
    sweep(app)
    assert feed() == []
    age(Session, days=366)
    sweep(app)
    assert [event["type"] for event in feed()] == ["auth.session_ended/1"]
    assert count(app, Session) == 1
    age(Session, hours=25)
    sweep(app)
    assert count(app, Session) == 0
    assert len(feed()) == 1


def test_more_than_one_round_of_them_asks_for_another(
    app: Flask,
    ada: Person,
    bob: Person,
    age: Age,
    monkeypatch: Any,
    run_tasks: Callable[[], list[str]],
) -> None:
    monkeypatch.setattr(upkeep, "_ENDED_AT_ONCE", 1)
    age(Session, days=366)
    with app.app_context(), unit_of_work() as uow:
        uow.enqueue("auth.sweep")
    assert run_tasks().count("auth.sweep") == 3
    with app.app_context():
        assert all(row.ended_at for row in fetch_all(select(Session.ended_at)))


def test_old_codes_and_counts_go(app: Flask, client: FlaskClient, age: Age) -> None:
    sign_up(client, "new@example.com")
    sweep(app)
    assert (count(app, Code), count(app, Attempt)) == (1, 1)
    age(Code, minutes=11)
    age(Attempt, hours=25)
    sweep(app)
    assert (count(app, Code), count(app, Attempt), count(app, User)) == (0, 0, 1)


def test_accounts_that_nobody_verified_go_after_a_week(
    app: Flask, client: FlaskClient, ada: Person, age: Age
) -> None:
    sign_up(client, "new@example.com")
    age(Code, minutes=11)
    age(User, days=6)
    sweep(app)
    assert count(app, User) == 2
    age(User, days=2)
    sweep(app)
    with app.app_context():
        assert [row.email for row in fetch_all(select(User.email))] == [ada.email]


def test_but_not_while_somebody_waits_for_a_code(app: Flask, client: FlaskClient, age: Age) -> None:
    sign_up(client, "new@example.com")
    age(User, days=8)
    sign_up(client, "new@example.com")
    sweep(app)
    assert count(app, User) == 1
