"""The log of deliveries through the API: looked through, tested, sent again, forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from tests.plugins.webhooks.receiver import Receiver

from trellis.testing import Scenario
from trellis_webhooks import factories, services
from trellis_webhooks.settings import WebhooksSettings

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]

LOG = "/v1/webhooks/deliveries"
SHOWN = frozenset(
    {
        "id",
        "endpoint_id",
        "event_id",
        "type",
        "state",
        "attempts",
        "last_status",
        "last_error",
        "last_duration_ms",
        "next_attempt_at",
        "created_at",
        "finished_at",
    }
)


@pytest.fixture
def who(as_operator: Any) -> Any:
    return as_operator("webhooks.manage")


def test_a_delivery_is_listed_with_what_became_of_it(
    client: FlaskClient, endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, who: Any
) -> None:
    endpoint_id, _ = endpoint()
    other_id, _ = endpoint("/other", events=("media.*",))
    receiver.default.status = 503
    happen()
    run_tasks()
    [listed] = client.get(LOG, headers=who).get_json()["items"]
    assert set(listed) == SHOWN
    assert (listed["state"], listed["attempts"], listed["last_status"]) == ("waiting", 1, 503)
    assert listed["last_duration_ms"] >= 0
    assert listed["next_attempt_at"] is not None
    one = client.get(f"{LOG}/{listed['id']}", headers=who).get_json()
    assert {name: one[name] for name in SHOWN} == listed
    assert set(one) == SHOWN | {"data", "occurred_at", "attempts_made"}
    assert [(made["status"], made["error"]) for made in one["attempts_made"]] == [(503, None)]
    for query, found in (
        ({"endpoint_id": str(endpoint_id)}, 1),
        ({"endpoint_id": str(other_id)}, 0),
        ({"state": "waiting"}, 1),
        ({"state": "failed"}, 0),
    ):
        page = client.get(LOG, headers=who, query_string=query).get_json()
        assert len(page["items"]) == found, query


@pytest.mark.parametrize("query", [{"state": "lost"}, {"endpoint_id": "x"}, {"limit": "0"}])
def test_a_filter_that_is_none_is_refused(check: Any, who: Any, query: dict[str, str]) -> None:
    check(Scenario("GET", LOG, 422, who, query=query))


def test_pages_of_the_log_are_the_newest_first(
    client: FlaskClient, endpoint: Make, happen: Any, run_tasks: Any, who: Any
) -> None:
    endpoint()
    happen(5)
    run_tasks()
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = client.get(LOG, headers=who, query_string=query).get_json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


def test_a_test_event_goes_to_that_endpoint_alone(
    client: FlaskClient, endpoint: Make, receiver: Receiver, run_tasks: Any, who: Any
) -> None:
    endpoint_id, secret = endpoint("/tested", events=("media.*",))
    endpoint("/other")
    answer = client.post(f"/v1/webhooks/endpoints/{endpoint_id}/test", headers=who)
    assert answer.status_code == 202
    assert (answer.get_json()["type"], answer.get_json()["state"]) == ("webhooks.test/1", "waiting")
    run_tasks()
    [call] = receiver.calls
    assert call.path == "/tested"
    assert call.verified(secret)["data"] == {"endpoint_id": str(endpoint_id)}
    assert call.id == answer.get_json()["event_id"]


def test_a_redelivery_has_the_same_id_and_counts_anew(
    client: FlaskClient,
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    who: Any,
    deliveries: Rows,
) -> None:
    _, secret = endpoint()
    happen()
    run_tasks()
    [row] = deliveries()
    again = client.post(f"{LOG}/{row.id}/redeliver", headers=who)
    assert (again.status_code, again.get_json()["state"]) == (202, "waiting")
    run_tasks()
    first, second = receiver.calls
    assert first.id == second.id
    assert first.verified(secret) == second.verified(secret)
    [row] = deliveries()
    assert (row.state, row.attempts, row.tries) == ("delivered", 2, 1)


def test_a_redelivery_does_not_wait_for_an_endpoint_that_failed(
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    pass_time: Any,
    deliveries: Rows,
) -> None:
    endpoint()
    receiver.default.status = 500
    receiver.default.headers = {"Retry-After": "80000"}
    happen()
    run_tasks()
    receiver.default.status, receiver.default.headers = 204, {}
    services.redeliver(deliveries()[0].id)
    run_tasks()
    assert deliveries()[0].state == "delivered"


def test_the_same_redelivery_twice_at_once_is_one_attempt(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, deliveries: Rows
) -> None:
    endpoint()
    happen()
    run_tasks()
    for _ in range(2):
        services.redeliver(deliveries()[0].id)
    run_tasks()
    assert len(receiver.calls) == 2


def test_nothing_is_sent_to_an_endpoint_that_is_disabled(
    check: Any, endpoint: Make, happen: Any, run_tasks: Any, who: Any, deliveries: Rows
) -> None:
    endpoint_id, _ = endpoint()
    happen()
    run_tasks()
    services.update_endpoint(endpoint_id, {"enabled": False})
    for path in (
        f"/v1/webhooks/endpoints/{endpoint_id}/test",
        f"{LOG}/{deliveries()[0].id}/redeliver",
    ):
        check(Scenario("POST", path, 409, who, code="webhooks.not_enabled"))


def test_an_endpoint_takes_its_deliveries_along(
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    deliveries: Rows,
    attempts: Rows,
) -> None:
    endpoint_id, _ = endpoint()
    receiver.default.status = 500
    happen(2)
    run_tasks()
    services.delete_endpoint(endpoint_id)
    assert deliveries() == attempts() == []
    assert run_tasks() == []


def test_deliveries_are_forgotten_past_their_time(
    endpoint: Make,
    happen: Any,
    run_tasks: Any,
    pass_time: Any,
    deliveries: Rows,
    attempts: Rows,
    runtime: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(runtime.settings.plugins, "webhooks", WebhooksSettings(keep_days=10))
    endpoint()
    happen(2)
    run_tasks()
    pass_time(days=6)
    happen()
    run_tasks()
    services.forget_deliveries()
    assert len(deliveries()) == 3
    pass_time(days=5)
    services.forget_deliveries()
    assert len(deliveries()) == len(attempts()) == 1


def test_only_so_many_are_forgotten_at_once(
    app_context: None, pass_time: Any, deliveries: Rows, run_tasks: Any, new_user_id: Any
) -> None:
    endpoint_id, _ = factories.endpoint()
    for _ in range(2):
        factories.populate([new_user_id()], seed=_)
    services.add_deliveries(
        [
            {
                "endpoint_id": endpoint_id,
                "event_id": new_user_id(),
                "type": "media.asset_ready/1",
                "data": {},
                "state": "delivered",
            }
            for _ in range(5000)
        ]
    )
    pass_time(days=31)
    services.forget_deliveries()
    assert len(deliveries()) == 4
    assert run_tasks() == ["webhooks.forget_deliveries"]
    assert deliveries() == []
