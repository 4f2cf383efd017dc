from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from trellis.testing import PluginContract, Scenario

EVENTS = "/v1/analytics/events"
ACTIVE = "/v1/analytics/reports/daily-active-users"
COUNTS = "/v1/analytics/reports/event-counts"

Headers = dict[str, str]
Check = Callable[[Scenario], Any]
SignIn = Callable[..., Headers]


class TestContract(PluginContract):
    plugin = "analytics"


def event(name: str = "photo_shared", **fields: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "name": name,
        "occurred_at": datetime.now(UTC).isoformat(),
        **fields,
    }


def nested(levels: int) -> Any:
    return {"in": nested(levels - 1)} if levels > 1 else {}


def receipt(accepted: int, duplicates: int = 0) -> dict[str, Any]:
    return {"accepted": accepted, "duplicates": duplicates, "rejected": []}


def today() -> dict[str, str]:
    day = datetime.now(UTC).date().isoformat()
    return {"from": day, "to": day}


@pytest.fixture
def operator(as_operator: SignIn) -> Headers:
    return as_operator("analytics.read")


@pytest.fixture
def report(client: FlaskClient, operator: Headers) -> Callable[..., Any]:
    def read(path: str, **range_: str) -> Any:
        response = client.get(path, query_string=range_ or today(), headers=operator)
        assert response.status_code == 200, response.text
        return response.get_json()["days"]

    return read


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ACTIVE, COUNTS])
def test_reports_are_for_whoever_may_read_them(
    check: Check, as_user: SignIn, as_operator: SignIn, path: str
) -> None:
    check(Scenario("GET", path, 401, query=today(), code="core.unauthenticated"))
    check(Scenario("GET", path, 403, as_user(), query=today(), code="core.forbidden"))
    check(Scenario("GET", path, 403, as_operator("media.upload"), query=today()))
    check(
        Scenario(
            "GET",
            path,
            200,
            as_operator("analytics.read"),
            query=today(),
            keys=frozenset({"days"}),
            statements=1,
        )
    )


def test_events_are_sent_by_people_who_are_signed_in(check: Check, as_user: SignIn) -> None:
    body = {"events": [event()]}
    check(Scenario("POST", EVENTS, 401, json=body, code="core.unauthenticated"))
    check(Scenario("POST", EVENTS, 202, as_user(), json=body, has=receipt(1), statements=2))


# --- batches ------------------------------------------------------------------------------------


def test_an_event_counts_once_for_a_person(
    check: Check, as_user: SignIn, report: Callable[..., Any]
) -> None:
    me, other = as_user(), as_user()
    first, second = event(), event("app_opened")
    both = {"events": [first, second]}
    check(Scenario("POST", EVENTS, 202, me, json=both, has=receipt(2)))
    check(Scenario("POST", EVENTS, 202, me, json=both, has=receipt(0, 2)))
    again = {"events": [event(), second, first]}
    check(Scenario("POST", EVENTS, 202, me, json=again, has=receipt(1, 2)))
    # Ids are each person's own.
    check(Scenario("POST", EVENTS, 202, other, json={"events": [first]}, has=receipt(1)))
    assert report(ACTIVE) == [{"day": today()["to"], "users": 2}]
    assert report(COUNTS) == [
        {
            "day": today()["to"],
            "total": 4,
            "events": [{"name": "photo_shared", "count": 3}, {"name": "app_opened", "count": 1}],
        }
    ]


def test_an_event_twice_in_one_batch_counts_once(check: Check, as_user: SignIn) -> None:
    one = event()
    check(Scenario("POST", EVENTS, 202, as_user(), json={"events": [one, one]}, has=receipt(1, 1)))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"name": "photo\n"}, "/name: "),
        ({"name": "9lives"}, "/name: "),
        ({"name": ""}, "/name: "),
        ({"name": "a" * 81}, "/name: "),
        ({"name": 7}, "/name: "),
        ({"name": None}, "/name: "),
        ({"id": ""}, "/id: "),
        ({"id": "x" * 65}, "/id: "),
        ({"id": "an id"}, "/id: "),
        ({"id": "id\n"}, "/id: "),
        ({"id": 1}, "/id: "),
        ({"occurred_at": "2026-11-22T10:00:00"}, "/occurred_at: "),
        ({"occurred_at": "yesterday"}, "/occurred_at: "),
        ({"occurred_at": 1_700_000_000}, "/occurred_at: "),
        ({"properties": []}, "/properties: "),
        ({"properties": None}, "/properties: "),
        ({"properties": {"text": "x" * 32 * 1024}}, "/properties: Larger than"),
        ({"properties": nested(9)}, "/properties: Nested deeper"),
        ({"user_id": str(uuid4())}, "/user_id: Unknown"),
    ],
)
def test_a_bad_event_does_not_lose_the_others(
    client: FlaskClient, as_user: SignIn, bad: dict[str, Any], reason: str
) -> None:
    batch = {"events": [event(), event() | bad, event()]}
    response = client.post(EVENTS, json=batch, headers=as_user())
    assert response.status_code == 202, response.text
    answer = response.get_json()
    [rejection] = answer.pop("rejected")
    assert answer == {"accepted": 2, "duplicates": 0}
    assert rejection["index"] == 1
    assert rejection["reason"].startswith(reason)


@pytest.mark.parametrize("item", [None, 1, "event", [], [event()]])
def test_an_item_that_is_no_event_is_rejected(
    client: FlaskClient, as_user: SignIn, item: Any
) -> None:
    response = client.post(EVENTS, json={"events": [event(), item]}, headers=as_user())
    assert response.status_code == 202
    answer = response.get_json()
    assert answer["accepted"] == 1
    assert [rejection["index"] for rejection in answer["rejected"]] == [1]


def test_a_batch_of_bad_events_alone_stores_nothing(
    client: FlaskClient, as_user: SignIn, report: Callable[..., Any]
) -> None:
    response = client.post(EVENTS, json={"events": [{}, {}]}, headers=as_user())
    assert response.status_code == 202
    answer = response.get_json()
    assert answer["accepted"] == 0
    assert len(answer["rejected"]) == 2
    assert report(ACTIVE) == [{"day": today()["to"], "users": 0}]


def test_what_is_sent_cannot_make_the_answer_large(client: FlaskClient, as_user: SignIn) -> None:
    hostile = {"events": [{"f" * 100_000: 1}]}
    response = client.post(EVENTS, json=hostile, headers=as_user())
    assert response.status_code == 202
    assert len(response.data) < 500


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "core.invalid_input"),
        ([], 422, "core.invalid_input"),
        ({"events": []}, 422, "core.invalid_input"),
        ({"events": None}, 422, "core.invalid_input"),
        ({"events": {"id": "x"}}, 422, "core.invalid_input"),
        ({"events": "ab"}, 422, "core.invalid_input"),
        ({"events": [{}] * 501}, 422, "core.invalid_input"),
        ({"events": [event()], "sent_at": "now"}, 422, "core.invalid_input"),
        ({"events": [event(properties={"text": "x" * 600_000})]}, 413, "core.content_too_large"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(
    check: Check, as_user: SignIn, body: Any, status: int, code: str
) -> None:
    check(Scenario("POST", EVENTS, status, as_user(), json=body, code=code, statements=0))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"events": [', 400),
        (b"\xff", 400),
        (b'{"events": [{"id": NaN}]}', 400),
        (b'{"events": [], "events": []}', 400),
        (b"[" * 100_000, 400),
        (b'{"events": [{"id": "a\\u0000"}]}', 400),
        (b'{"events": [{"id": "\\ud800"}]}', 400),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused(
    check: Check, as_user: SignIn, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    check(Scenario("POST", EVENTS, status, as_user(), data=body, headers=headers))


def test_a_batch_must_be_json(check: Check, as_user: SignIn) -> None:
    body = json.dumps({"events": [event()]})
    headers = {"Content-Type": "text/plain"}
    check(Scenario("POST", EVENTS, 415, as_user(), data=body, headers=headers))


def test_a_full_batch_is_taken(check: Check, as_user: SignIn) -> None:
    batch = {"events": [event() for _ in range(500)]}
    check(Scenario("POST", EVENTS, 202, as_user(), json=batch, has=receipt(500), statements=2))


# --- times --------------------------------------------------------------------------------------


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("claimed", "counted"),
    [
        (NOW - timedelta(days=2), NOW - timedelta(days=2)),
        (NOW + timedelta(seconds=60), NOW + timedelta(seconds=60)),
        (NOW + timedelta(days=5), NOW),
        (NOW - timedelta(days=500), NOW - timedelta(days=30)),
        ("9999-12-31T23:59:59-12:00", NOW),
        ("0001-01-01T00:00:00+14:00", NOW - timedelta(days=30)),
    ],
)
def test_the_time_of_an_event_is_bounded(
    client: FlaskClient,
    as_user: SignIn,
    report: Callable[..., Any],
    claimed: datetime | str,
    counted: datetime,
) -> None:
    text = claimed if isinstance(claimed, str) else claimed.isoformat()
    sent = client.post(EVENTS, json={"events": [event(occurred_at=text)]}, headers=as_user())
    assert sent.status_code == 202, sent.text
    range_ = {"from": NOW.date() - timedelta(days=40), "to": NOW.date() + timedelta(days=1)}
    days = report(ACTIVE, **{name: str(day) for name, day in range_.items()})
    assert [day["day"] for day in days if day["users"]] == [str(counted.date())]


def test_a_day_is_a_day_in_utc(
    client: FlaskClient, as_user: SignIn, report: Callable[..., Any]
) -> None:
    day = datetime.now(UTC).date() - timedelta(days=3)
    late = event(occurred_at=f"{day}T23:30:00-05:00")
    assert client.post(EVENTS, json={"events": [late]}, headers=as_user()).status_code == 202
    following = str(day + timedelta(days=1))
    assert report(ACTIVE, **{"from": following, "to": following})[0]["users"] == 1


# --- reports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ACTIVE, COUNTS])
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"from": "2026-11-01"},
        {"to": "2026-11-01"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2026-01-01", "to": "2026-04-03"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"from": "2026-11-31", "to": "2026-12-01"},
        {"from": "today", "to": "2026-12-01"},
        {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02"},
        {"from": "2026-11-01", "to": "2026-11-02", "user": "x"},
    ],
)
def test_a_report_needs_a_range_of_days(
    check: Check, operator: Headers, path: str, query: dict[str, str]
) -> None:
    check(Scenario("GET", path, 422, operator, query=query, code="core.invalid_input"))


@pytest.mark.parametrize("path", [ACTIVE, COUNTS])
@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        ("2026-01-01", "2026-04-02", 92),
        ("0001-01-01", "0001-01-01", 1),
        ("9999-12-31", "9999-12-31", 1),
    ],
)
def test_a_report_has_every_day_of_its_range(
    report: Callable[..., Any], path: str, since: str, until: str, days: int
) -> None:
    found = report(path, **{"from": since, "to": until})
    assert [found[0]["day"], found[-1]["day"], len(found)] == [since, until, days]


def test_reports_show_at_once_what_was_sent(
    client: FlaskClient, as_user: SignIn, report: Callable[..., Any]
) -> None:
    day = datetime.now(UTC).date()
    week = {"from": str(day - timedelta(days=6)), "to": str(day)}
    for people in (1, 2, 3):
        batch = [
            event(occurred_at=(datetime.now(UTC) - timedelta(days=ago)).isoformat())
            for ago in (0, 1, 6)
        ]
        assert client.post(EVENTS, json={"events": batch}, headers=as_user()).status_code == 202
        for _ in range(2):
            assert [d["users"] for d in report(ACTIVE, **week)] == [
                people,
                0,
                0,
                0,
                0,
                people,
                people,
            ]
            assert [d["total"] for d in report(COUNTS, **week)] == [
                people,
                0,
                0,
                0,
                0,
                people,
                people,
            ]


def test_days_gone_by_are_read_once_while_today_goes_on(
    check: Check, client: FlaskClient, as_user: SignIn, operator: Headers
) -> None:
    day = datetime.now(UTC).date()
    week = {"from": str(day - timedelta(days=6)), "to": str(day)}
    for path in (ACTIVE, COUNTS):
        check(Scenario("GET", path, 200, operator, query=week, statements=2))
        check(Scenario("GET", path, 200, operator, query=week, statements=0))
    assert client.post(EVENTS, json={"events": [event()]}, headers=as_user()).status_code == 202
    for path in (ACTIVE, COUNTS):
        check(Scenario("GET", path, 200, operator, query=week, statements=1))


def test_a_report_shows_the_most_frequent_names_and_counts_all(
    client: FlaskClient, as_user: SignIn, report: Callable[..., Any]
) -> None:
    names = [f"event {number:03}" for number in range(120)]
    batch = [event(name) for name in [*names, names[70], names[119]]]
    assert client.post(EVENTS, json={"events": batch}, headers=as_user()).status_code == 202
    [day] = report(COUNTS)
    assert day["total"] == 122
    assert len(day["events"]) == 100
    assert [e["name"] for e in day["events"][:3]] == [names[70], names[119], names[0]]
