"""The feed: ascending positions in which no reader ever misses an entry."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select

from trellis.db import fetch_value, new_id
from trellis.events import Envelope, Event, user_audience
from trellis.feed import changes, entries_between, head
from trellis.feed.models import FeedEntry
from trellis.feed.sequencer import sequence
from trellis.loader.events import _deliver
from trellis.runtime import Runtime
from trellis.task import Options, Task
from trellis.unit_of_work import unit_of_work


@dataclass(frozen=True)
class NoteShared(Event):
    """An event of these tests."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Any] = "created"
    note_id: UUID
    reader_id: UUID | None = None

    def resource_id(self) -> str:
        return str(self.note_id)

    def audience(self) -> str | None:
        return None if self.reader_id is None else user_audience(self.reader_id)


@pytest.fixture(autouse=True)
def runtime(app: Flask) -> Iterator[Runtime]:
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[NoteShared] = "core.note_shared/1"
    yield runtime
    del runtime.event_types[NoteShared]
    runtime.listeners.pop("core.note_shared/1", None)


def _publish(count: int = 1, reader_id: UUID | None = None) -> None:
    with unit_of_work() as uow:
        for _ in range(count):
            uow.publish(NoteShared(new_id(), reader_id))


def test_entries_have_no_position_before_the_sequencer_ran(app_context: None) -> None:
    _publish(3)
    assert head() == 0
    assert fetch_value(select(func.count(FeedEntry.position))) == 0
    assert sequence() == 3
    assert head() == 3
    assert sequence() == 0


def test_positions_ascend_without_a_gap(app_context: None) -> None:
    for count in (2, 1, 4):
        _publish(count, reader := new_id())
        sequence()
        assert [entry.position for entry in changes(0, {user_audience(reader)}).entries] == list(
            range(head() - count + 1, head() + 1)
        )


def test_readers_see_their_own_audience_only(app_context: None) -> None:
    ada, bob = new_id(), new_id()
    _publish(2, ada)
    _publish(1, bob)
    _publish(1, None)
    sequence()
    assert len(changes(0, {user_audience(ada)}).entries) == 2
    assert len(changes(0, {user_audience(bob)}).entries) == 1
    assert changes(0, set()).entries == []
    assert len(entries_between(0, head()).entries) == 4


def test_g01_a_cursor_never_misses_what_commits_concurrently(app: Flask) -> None:
    reader_id = new_id()
    writers, each = 4, 25
    finished = threading.Event()

    def write(_: int) -> None:
        with app.app_context():
            for _ in range(each):
                _publish(random.randint(1, 3), reader_id)

    def read() -> list[int]:
        seen: list[int] = []
        with app.app_context():
            while True:
                last_round = finished.is_set()
                sequence()
                page = changes(seen[-1] if seen else 0, {user_audience(reader_id)}, 7).entries
                seen += [entry.position for entry in page]
                if last_round and not page:
                    return seen

    with ThreadPoolExecutor(writers + 2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        list(pool.map(write, range(writers)))
        finished.set()
        seen = [reader.result() for reader in readers]
    with app.app_context():
        written = fetch_value(select(func.count()).select_from(FeedEntry))
    assert seen == [list(range(1, written + 1))] * 2


def test_two_sequencers_at_once_give_each_position_once(app: Flask) -> None:
    with app.app_context():
        _publish(50, new_id())

    def run(_: int) -> int:
        with app.app_context():
            return sequence()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(8))) == 50
    with app.app_context():
        assert head() == 50


def test_each_listener_gets_the_event_as_work_of_its_own(
    app_context: None, runtime: Runtime, run_tasks: Any
) -> None:
    heard: list[Envelope] = []
    for name in ("core.first", "core.second"):
        runtime.tasks[name] = Task(name, _deliver(heard.append), Options())
        runtime.listeners.setdefault("core.note_shared/1", []).append(name)
    note = NoteShared(new_id(), new_id())
    with unit_of_work() as uow:
        uow.publish(note)
    assert heard == []
    assert run_tasks() == ["core.first", "core.second"]
    assert [envelope.payload for envelope in heard] == [note.payload()] * 2
    assert heard[0] == heard[1]
    assert heard[0].type == "core.note_shared/1"
    for name in ("core.first", "core.second"):
        del runtime.tasks[name]
