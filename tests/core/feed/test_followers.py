"""Making the feed grow wakes its followers: once for each batch of positions, in one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from flask import Flask
from sqlalchemy import func, select

from trellis.db import fetch_value
from trellis.events import Event
from trellis.feed.sequencer import sequence
from trellis.outbox.models import OutboxRow
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work


@dataclass(frozen=True)
class StoneThrown(Event):
    """An event of these tests, which nobody may see and nobody subscribes to."""

    resource: ClassVar[str] = "stone"
    operation: ClassVar[Literal["created"]] = "created"

    def resource_id(self) -> str:
        return "1"


@pytest.fixture
def follower(
    app: Flask, declare_task: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[StoneThrown] = "core.stone_thrown/1"

    def follow_the_stones() -> None: ...

    name = declare_task(follow_the_stones)
    monkeypatch.setattr(runtime, "followers", [name])
    yield name
    del runtime.event_types[StoneThrown]


def _throw(count: int) -> None:
    with unit_of_work() as uow:
        for _ in range(count):
            uow.publish(StoneThrown())


def _runs(name: str) -> int:
    return int(fetch_value(select(func.count()).where(OutboxRow.task == name)))


def test_a_follower_is_enqueued_once_for_each_batch(app_context: None, follower: str) -> None:
    _throw(5)
    assert _runs(follower) == 0
    assert sequence() == 5
    assert _runs(follower) == 1
    assert sequence() == 0
    assert _runs(follower) == 1
    _throw(1)
    sequence()
    assert _runs(follower) == 2


def test_sequencers_at_once_enqueue_it_once_for_what_they_gave(app: Flask, follower: str) -> None:
    with app.app_context():
        _throw(20)

    def give(_: int) -> int:
        with app.app_context():
            return sequence()

    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(give, range(4)))
    with app.app_context():
        assert sum(given) == 20
        assert _runs(follower) == sum(1 for one in given if one)


def test_the_test_kit_runs_followers_and_names_only_what_a_call_asked_for(
    app: Flask,
    follower: str,
    run_tasks: Callable[[], list[str]],
    outbox: Callable[[], list[str]],
) -> None:
    with app.app_context():
        _throw(1)
        sequence()
        assert outbox() == []
        assert run_tasks() == []
        assert fetch_value(select(OutboxRow.done_at).where(OutboxRow.task == follower))
