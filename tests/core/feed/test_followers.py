"""Making the feed grow wakes its followers: once for each batch of positions, in one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from trellis.db import fetch_value
from trellis.events import Event
from trellis.feed import entries_between, head, retention
from trellis.feed.models import FeedEntry, FeedHead
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


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    """``told()`` gives what the log says of entries that were missed."""

    def told() -> list[Any]:
        lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        return [line for line in lines if line["event"] == "feed_entries_missed"]

    return told


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


def test_a_follower_is_told_once_what_left_the_feed_before_it_came(
    app_context: None, follower: str, told: Callable[[], list[Any]]
) -> None:
    _throw(5)
    sequence()
    assert [entry.position for entry in entries_between(0, head(), 2).entries] == [1, 2]
    retention.trim(keep_seconds=-60)
    _throw(3)
    sequence()
    found = entries_between(2, head(), 2)
    assert ([entry.position for entry in found.entries], found.cursor, found.more) == (
        [6, 7],
        7,
        True,
    )
    found = entries_between(found.cursor, head(), 2)
    assert ([entry.position for entry in found.entries], found.more) == ([8], False)
    assert [(line["after"], line["until"]) for line in told()] == [(2, 5)]


def test_a_follower_that_has_seen_what_left_is_told_nothing(
    app_context: None, follower: str, told: Callable[[], list[Any]]
) -> None:
    _throw(5)
    sequence()
    retention.trim(keep_seconds=-60)
    _throw(2)
    assert entries_between(5, head()).entries == []
    sequence()
    assert len(entries_between(5, head()).entries) == 2
    with unit_of_work() as uow:  # an erasure
        uow.session.execute(delete(FeedEntry).where(FeedEntry.position == 6))
    assert [entry.position for entry in entries_between(5, head()).entries] == [7]
    assert told() == []


def test_a_follower_passes_the_gap_of_a_restore_in_one_step(
    app_context: None, follower: str, told: Callable[[], list[Any]]
) -> None:
    _throw(3)
    sequence()
    above = 1_700_000_000_000_000
    with unit_of_work() as uow:
        uow.session.execute(update(FeedHead).values(position=above, trimmed=above))
    _throw(1)
    sequence()
    found = entries_between(1, head(), 2)
    assert [entry.position for entry in found.entries] == [2, 3]
    found = entries_between(found.cursor, head(), 2)
    assert [entry.position for entry in found.entries] == [above + 1]
    assert not found.more
    assert [(line["after"], line["until"]) for line in told()] == [(3, above)]
