"""Rotation of an endpoint's secret: who signs, for how long, and how many (C-13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from standardwebhooks.webhooks import WebhookVerificationError
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import fetch_all
from trellis.testing import Scenario
from trellis_webhooks import services
from trellis_webhooks.models import PreviousSecret

Make = Callable[..., tuple[UUID, str]]

ENDPOINTS = "/v1/webhooks/endpoints"
NOBODY = "00000000-0000-7000-8000-000000000000"


def test_c13_during_a_rotation_both_secrets_sign(
    client: FlaskClient,
    as_operator: Any,
    app: Flask,
    receiver: Receiver,
    run_tasks: Any,
) -> None:
    who = as_operator("webhooks.manage")
    body = {"url": receiver.url(), "events": ["*"]}
    made = client.post(ENDPOINTS, headers=who, json=body).get_json()
    one = f"{ENDPOINTS}/{made['id']}"
    rotated = client.post(f"{one}/rotate", headers=who, json={"overlap_hours": 2}).get_json()
    assert rotated["secret"] != made["secret"]
    assert client.get(one, headers=who).get_json()["previous_until"] == rotated["previous_until"]
    client.post(f"{one}/test", headers=who)
    run_tasks()
    [call] = receiver.calls
    signatures = call.headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    assert all(signature.startswith("v1,") for signature in signatures)
    assert call.verified(rotated["secret"]) == call.verified(made["secret"])


def test_c13_after_the_stated_time_the_old_secret_signs_no_more(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any, pass_time: Any
) -> None:
    endpoint_id, old = endpoint()
    new = services.rotate_secret(endpoint_id, 24)
    pass_time(hours=25)
    happen()
    run_tasks()
    assert receiver.calls[0].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.calls[0].verified(old)


def test_a_secret_that_leaked_ends_at_once(
    endpoint: Make, receiver: Receiver, happen: Any, run_tasks: Any
) -> None:
    endpoint_id, old = endpoint()
    new = services.rotate_secret(endpoint_id, 0)
    assert fetch_all(select(PreviousSecret.id)) == []
    happen()
    run_tasks()
    assert receiver.calls[0].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.calls[0].verified(old)


def test_a_rotation_that_is_repeated_ends_no_secret_before_its_time(
    client: FlaskClient,
    as_operator: Any,
    endpoint: Make,
    receiver: Receiver,
    happen: Any,
    run_tasks: Any,
    pass_time: Any,
) -> None:
    """Whoever lost the answer of the first rotation asks again; the receiver has the first one."""
    endpoint_id, first = endpoint()
    path, who = f"{ENDPOINTS}/{endpoint_id}/rotate", as_operator("webhooks.manage")
    told = [client.post(path, headers=who, json={}).get_json() for _ in range(2)]
    assert [answer["signing_secrets"] for answer in told] == [2, 3]
    assert told[1]["previous_until"] >= told[0]["previous_until"]
    happen()
    run_tasks()
    for secret in (first, *(answer["secret"] for answer in told)):
        assert receiver.calls[0].verified(secret)
    pass_time(hours=25)
    shown = client.get(f"{ENDPOINTS}/{endpoint_id}", headers=who).get_json()
    assert (shown["signing_secrets"], shown["previous_until"]) == (1, None)


def test_only_so_many_secrets_sign(
    check: Any, as_operator: Any, endpoint: Make, pass_time: Any
) -> None:
    endpoint_id, _ = endpoint()
    path, who = f"{ENDPOINTS}/{endpoint_id}/rotate", as_operator("webhooks.manage")
    again = Scenario("POST", path, 200, who, json={})
    for count in (2, 3, 4, 5):
        assert check(again).get_json()["signing_secrets"] == count
    check(Scenario("POST", path, 409, who, json={}, code="webhooks.too_many_secrets"))
    leaked = Scenario("POST", path, 200, who, json={"overlap_hours": 0})
    assert check(leaked).get_json()["signing_secrets"] == 1
    assert check(again).get_json()["signing_secrets"] == 2
    pass_time(hours=25)
    assert check(again).get_json()["signing_secrets"] == 2


@pytest.mark.parametrize("hours", [-1, 169, 1.5, "1", None])
def test_an_overlap_has_bounds(check: Any, as_operator: Any, hours: Any) -> None:
    path = f"{ENDPOINTS}/{NOBODY}/rotate"
    who = as_operator("webhooks.manage")
    check(Scenario("POST", path, 422, who, json={"overlap_hours": hours}))
