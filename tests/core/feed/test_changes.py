"""`GET /v1/changes`: what has changed since a cursor, for whom it concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from trellis.db import new_id
from trellis.feed import retention
from trellis.feed.models import FeedHead
from trellis.unit_of_work import unit_of_work

Share = Callable[..., None]
SignIn = Callable[..., dict[str, str]]
Ask = Callable[..., Any]


@pytest.fixture
def ada() -> UUID:
    return new_id()


@pytest.fixture
def ask(client: FlaskClient, as_user: SignIn) -> Ask:
    """``ask(person, cursor=…)`` gives the answer's body."""
    headers: dict[UUID, dict[str, str]] = {}

    def ask(person: UUID, status: int = 200, **query: Any) -> Any:
        mine = headers.setdefault(person, as_user(person))
        answer = client.get("/v1/changes", headers=mine, query_string=query)
        assert answer.status_code == status, answer.get_json()
        return answer.get_json()

    return ask


def numbers(body: Any) -> list[int]:
    return [item["payload"]["number"] for item in body["items"]]


def test_changes_since_a_cursor(ask: Ask, share: Share, ada: UUID) -> None:
    share(ada, 1)
    now = ask(ada)
    assert now == {"items": [], "cursor": "1", "more": False}
    share(ada, 2, 3)
    found = ask(ada, cursor=now["cursor"])
    assert (numbers(found), found["cursor"], found["more"]) == ([2, 3], "3", False)
    assert set(found["items"][0]) == {
        *("id", "type", "resource", "resource_id", "operation", "payload", "created_at"),
    }
    assert ask(ada, cursor=found["cursor"]) == {"items": [], "cursor": "3", "more": False}


def test_pages_go_on_where_the_last_one_ended(ask: Ask, share: Share, ada: UUID) -> None:
    share(ada, 1, 2, 3, 4, 5)
    share(new_id(), 6)
    seen, cursor, more = [], "0", True
    while more:
        found = ask(ada, cursor=cursor, limit=2)
        seen.append(numbers(found))
        cursor, more = found["cursor"], found["more"]
    assert seen == [[1, 2], [3, 4], [5]]
    assert cursor == "6"  # past what others have, so that it does not grow too old


def test_c01_nobody_sees_what_concerns_another(ask: Ask, share: Share, ada: UUID) -> None:
    bob = new_id()
    share(ada, 1)
    share(None, 2)
    share(bob, 3)
    assert numbers(ask(ada, cursor=0)) == [1]
    assert numbers(ask(bob, cursor=0)) == [3]
    assert numbers(ask(new_id(), cursor=0)) == []


def test_what_passes_to_another_person_is_seen_by_that_one_from_then_on(
    ask: Ask, share: Share, ada: UUID
) -> None:
    bob = new_id()
    share(ada, 7)
    share(bob, 7)
    share(bob, 7)
    assert numbers(ask(ada, cursor=0)) == [7]
    assert len(numbers(ask(bob, cursor=0))) == 2


def test_a_cursor_whose_changes_are_gone(ask: Ask, share: Share, ada: UUID, app: Flask) -> None:
    share(ada, 1, 2)
    ask(ada)
    with app.app_context():
        retention.trim(keep_seconds=-60)
    share(ada, 3)
    for cursor in (0, 1):
        refused = ask(ada, 410, cursor=cursor)
        assert (refused["code"], refused["reason"]) == ("core.resync_required", "too_old")
        assert ask(ada, cursor=refused["cursor"])["items"] == []
    assert numbers(ask(ada, cursor=2)) == [3]  # the last that is gone: nothing was missed


def test_a_cursor_of_another_life_of_the_database(
    ask: Ask, share: Share, ada: UUID, app: Flask
) -> None:
    share(ada, 1, 2)
    assert ask(ada, 410, cursor=3)["reason"] == "unknown"
    with app.app_context(), unit_of_work() as uow:  # what a restore does
        uow.session.execute(update(FeedHead).values(position=1_000, trimmed=1_000))
    share(ada, 3)
    refused = ask(ada, 410, cursor=2)
    assert refused["reason"] == "too_old"
    share(ada, 4)
    assert numbers(ask(ada, cursor=refused["cursor"])) == [4]


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"cursor": "-1"}, {"cursor": "9" * 19}])
def test_what_is_no_cursor(ask: Ask, ada: UUID, query: dict[str, str]) -> None:
    refused = ask(ada, 422, **query)
    assert refused["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize("limit", [0, 501, "many"])
def test_what_is_no_limit(ask: Ask, ada: UUID, limit: Any) -> None:
    assert ask(ada, 422, limit=limit)["errors"][0]["pointer"] == "/limit"


def test_strangers_are_told_nothing(client: FlaskClient) -> None:
    assert client.get("/v1/changes?cursor=0").status_code == 401
