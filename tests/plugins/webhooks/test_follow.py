"""From the feed to deliveries: each event once for each endpoint, whoever runs and dies when."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import fetch_value
from trellis.feed import head
from trellis.feed.sequencer import sequence
from trellis.unit_of_work import unit_of_work
from trellis_webhooks import services
from trellis_webhooks.models import Cursor, Endpoint
from trellis_webhooks.services.follow import wants

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]


def test_two_followers_at_once_make_one_delivery_of_each_event(
    app: Flask, endpoint: Make, happen: Any, deliveries: Rows
) -> None:
    endpoint("/a")
    endpoint("/b")
    happen(30)
    sequence()

    def follow(_: int) -> None:
        with app.app_context():
            services.follow()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(follow, range(12)))
    made = [(row.endpoint_id, row.event_id) for row in deliveries()]
    assert len(made) == len(set(made)) == 60


def test_a_follower_that_reads_again_makes_nothing_twice(
    endpoint: Make, happen: Any, deliveries: Rows
) -> None:
    endpoint()
    happen(3)
    sequence()
    services.follow()
    with unit_of_work() as uow:
        uow.session.execute(update(Cursor).values(position=0))
    services.follow()
    assert len(deliveries()) == 3


def test_a_follower_that_dies_leaves_neither_deliveries_nor_a_cursor_ahead_of_them(
    endpoint: Make, happen: Any, deliveries: Rows, dies_at_commit: Callable[[], Any]
) -> None:
    endpoint()
    happen(3)
    sequence()
    with dies_at_commit(), pytest.raises(ConnectionAbortedError):
        services.follow()
    assert deliveries() == []
    services.follow()
    assert len(deliveries()) == 3


def test_a_long_backlog_is_read_in_steps(
    endpoint: Make, happen: Any, run_tasks: Any, receiver: Receiver, deliveries: Rows
) -> None:
    endpoint(events=("media.*",))
    happen(1200)
    sequence()
    services.follow()
    assert fetch_value(select(Cursor.position)) == 200
    run_tasks()
    assert fetch_value(select(Cursor.position)) == head() == 1200
    assert deliveries() == []


def test_without_endpoints_nothing_is_read(happen: Any, run_tasks: Any) -> None:
    happen(700)
    sequence()
    services.follow()
    assert fetch_value(select(Cursor.position)) == head() == 700


def test_an_endpoint_hears_of_what_happened_after_it_was_made(
    endpoint: Make, happen: Any, run_tasks: Any, receiver: Receiver
) -> None:
    happen(5)
    sequence()
    endpoint()  # the follower has not read the five yet
    assert fetch_value(select(Endpoint.after)) == 5
    [heard] = happen()
    run_tasks()
    assert [str(heard) in call.body.decode() for call in receiver.calls] == [True]


def test_each_event_of_many_writers_comes_once(
    app: Flask, endpoint: Make, happen: Any, run_tasks: Any, receiver: Receiver
) -> None:
    endpoint()

    def write(_: int) -> list[UUID]:
        with app.app_context():
            return [message for _ in range(5) for message in happen(2)]

    with ThreadPoolExecutor(4) as pool:
        written = {str(one) for some in pool.map(write, range(4)) for one in some}
    while run_tasks():
        pass
    told = [json.loads(call.body)["data"]["message_id"] for call in receiver.calls]
    assert sorted(told) == sorted(written)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("*", True),
        ("media.*", True),
        ("media.asset_ready", True),
        ("media.asset_ready/1", True),
        ("media.asset_ready/2", False),
        ("media.asset", False),
        ("med.*", False),
        ("media.asset_ready/*", False),
    ],
)
def test_a_pattern_means_what_it_says(pattern: str, meant: bool) -> None:
    assert wants([pattern], "media.asset_ready/1") is meant
    assert wants(["auth.*", pattern], "media.asset_ready/1") is meant
