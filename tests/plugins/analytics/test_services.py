from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from pydantic import ValidationError
from sqlalchemy import func, select

from trellis.contracts import EventSink, Principal, port
from trellis.db import fetch_all, fetch_value, new_id
from trellis.errors import Unauthenticated
from trellis.privacy import request_erasure
from trellis.unit_of_work import unit_of_work
from trellis_analytics import factories, services
from trellis_analytics.models import AnalyticsEvent, NewEvent
from trellis_analytics.settings import AnalyticsSettings

NOW = datetime.now(UTC)
TODAY = NOW.date()


def stored(user_id: UUID | None = None) -> int:
    statement = select(func.count()).select_from(AnalyticsEvent)
    if user_id is not None:
        statement = statement.where(AnalyticsEvent.user_id == user_id)
    return int(fetch_value(statement))


def active(day: date = TODAY) -> int:
    return services.daily_active_users(day, day)[0].users


# --- recording ----------------------------------------------------------------------------------


def test_the_same_events_at_once_count_once(app: Flask, as_user: Callable[..., Any]) -> None:
    headers = as_user()
    batch = [
        {"id": str(uuid4()), "name": "photo_shared", "occurred_at": NOW.isoformat()}
        for _ in range(50)
    ]

    def send(attempt: int) -> dict[str, Any]:
        # Half of them in the other order, as two queues of one phone might.
        events = batch if attempt % 2 else batch[::-1]
        response = app.test_client().post(
            "/v1/analytics/events", json={"events": events}, headers=headers
        )
        assert response.status_code == 202, response.text
        answer: dict[str, Any] = response.get_json()
        return answer

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(send, range(20)))
    assert sum(answer["accepted"] for answer in answers) == 50
    assert sum(answer["duplicates"] for answer in answers) == 19 * 50
    with app.app_context():
        assert stored() == 50
        assert active() == 1


@pytest.mark.usefixtures("app_context")
def test_whose_access_has_ended_brings_nothing_back() -> None:
    gone = Principal(new_id(), "user", session_id=new_id())
    with pytest.raises(Unauthenticated):
        services.record_batch(gone, [NewEvent("one", "late", NOW, {})])
    assert stored() == 0


@pytest.mark.usefixtures("app_context")
def test_a_tracked_event_joins_the_unit_of_its_caller() -> None:
    user_id = new_id()

    def fail_afterwards() -> None:
        with unit_of_work():
            port(EventSink).track(user_id, "signed_up", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_afterwards()
    assert stored() == 0
    with unit_of_work():
        port(EventSink).track(user_id, "signed_up", {"by": "email"})
        port(EventSink).track(user_id, "signed_up", {"by": "email"})
    assert stored(user_id) == 2
    assert active() == 1


@pytest.mark.usefixtures("app_context")
@pytest.mark.parametrize("name", ["", "9 lives", "a" * 81, "tap\n"])
def test_a_tracked_event_has_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an event"):
        port(EventSink).track(new_id(), name, {})


@pytest.mark.usefixtures("app_context")
@pytest.mark.parametrize(
    ("properties", "error"),
    [({"text": "x" * 32 * 1024}, ValueError), ({"when": NOW}, TypeError), ({"n": {1}}, TypeError)],
)
def test_a_tracked_event_keeps_the_limits(properties: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        port(EventSink).track(new_id(), "signed_up", properties)
    assert stored() == 0


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [
        (NOW, NOW),
        (NOW + timedelta(seconds=300), NOW + timedelta(seconds=300)),
        (NOW + timedelta(seconds=301), NOW),
        (NOW - timedelta(days=30), NOW - timedelta(days=30)),
        (NOW - timedelta(days=30, seconds=1), NOW - timedelta(days=30)),
    ],
)
def test_what_time_is_believed(claimed: datetime, believed: datetime) -> None:
    assert services.believable(claimed, NOW, AnalyticsSettings()) == believed


@pytest.mark.usefixtures("app_context")
def test_the_stated_time_is_kept_when_it_is_not_believed() -> None:
    user_id = new_id()
    edge = datetime.fromisoformat("0001-01-01T00:00:00+14:00")
    with unit_of_work() as uow:
        services._store(
            uow, user_id, [NewEvent("odd", "tap", edge, {}), NewEvent("now", "tap", NOW, {})]
        )
    events = {event["id"]: event for event in services.export_user(user_id)["events"]}
    assert events["odd"]["claimed_at"] == "0001-01-01T00:00:00+14:00"
    assert events["odd"]["occurred_at"] < events["odd"]["received_at"]
    assert events["now"]["claimed_at"] is None


def test_events_are_kept_as_long_as_they_are_taken() -> None:
    with pytest.raises(ValidationError, match="max_event_age_days exceeds retention_days"):
        AnalyticsSettings(retention_days=29)


# --- factories ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("app_context")
def test_one_seed_makes_the_same_events() -> None:
    people = [new_id() for _ in range(20)]
    for _ in range(2):
        factories.seed_events(people, 6_000, seed=7, until=NOW)
        assert stored() == 6_000
    factories.seed_events(people, 10, seed=8, until=NOW)
    assert stored() == 6_010
    days = services.daily_active_users(TODAY - timedelta(days=30), TODAY)
    assert all(day.users == 20 for day in days[1:-1])


# --- forgetting ---------------------------------------------------------------------------------


def test_events_past_their_time_are_dropped(
    app: Flask, run_tasks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_DROP_AT_ONCE", 40)
    old = NOW - timedelta(days=401)
    with app.app_context():
        people = [new_id(), new_id()]
        for until in (old, old - timedelta(days=3)):
            factories.seed_events(people, 50, seed=1, until=until, within=timedelta())
            people.reverse()  # the same ids for other people
        factories.seed_events(
            people, 5, seed=2, until=NOW - timedelta(days=400), within=timedelta()
        )
        assert active(old.date()) == 2
        with unit_of_work() as uow:
            uow.enqueue("analytics.drop_old_events")
    assert run_tasks() == ["analytics.drop_old_events"] * 5
    with app.app_context():
        assert stored() == 5
        assert active(old.date()) == 0


def test_nothing_of_a_person_remains_after_erasure(
    app: Flask, run_tasks: Callable[..., list[str]]
) -> None:
    leaving, staying = new_id(), new_id()
    with app.app_context():
        for person in (leaving, staying):
            factories.seed_events([person], 5, seed=person.int, until=NOW, within=timedelta())
        before = active()
        exported = services.export_user(leaving)
        with unit_of_work() as uow:
            request_erasure(uow, leaving)
    assert len(json.loads(json.dumps(exported))["events"]) == 5
    run_tasks()
    with app.app_context():
        assert stored(leaving) == 0
        assert stored(staying) == 5
        assert active() == before - 1
        assert services.export_user(leaving) == {"events": []}
        assert services.erase_user(leaving) == {"events": 0}
        rows = fetch_all(select(AnalyticsEvent.id, AnalyticsEvent.properties))
        assert str(leaving) not in repr(rows)
