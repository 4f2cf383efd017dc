"""Old entries go, in bounded batches, and never one that somebody has still to hear of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update

from trellis.db import database_now, fetch_value, new_id
from trellis.db.base import db
from trellis.errors import ResyncRequired
from trellis.events import Envelope
from trellis.feed import changes, head, retention
from trellis.feed.models import FeedEntry, FeedHead
from trellis.feed.sequencer import sequence
from trellis.feed.tasks import trim_feed
from trellis.loader.events import _deliver
from trellis.outbox.models import OutboxRow
from trellis.runtime import Runtime
from trellis.task import Options, Task
from trellis.unit_of_work import unit_of_work

Share = Callable[..., None]
DAY = 24 * 3600


def age(days: int, *rows: Any) -> None:
    """Make everything older than it is."""
    with unit_of_work() as uow:
        for model in rows or (FeedEntry,):
            uow.session.execute(update(model).values(created_at=database_now(-days * DAY)))


def left() -> int:
    return int(fetch_value(select(func.count()).select_from(FeedEntry)))


def trimmed() -> int:
    return int(fetch_value(select(FeedHead.trimmed)))


def test_only_what_is_old_goes(app: Flask, app_context: None, share: Share) -> None:
    reader = new_id()
    share(reader, 1, 2)
    sequence()
    age(29)
    trim_feed()
    assert (left(), trimmed()) == (2, 0)
    age(31)
    share(reader, 3)
    sequence()
    trim_feed()
    assert (left(), trimmed(), head()) == (1, 2, 3)
    assert [e.position for e in changes(2, {f"user:{reader}"}).entries] == [3]
    with pytest.raises(ResyncRequired):
        changes(1, {f"user:{reader}"})


def test_what_has_no_position_stays(app_context: None, share: Share) -> None:
    share(new_id(), 1)
    age(400)
    trim_feed()
    assert (left(), trimmed()) == (1, 0)


def test_a_batch_is_bounded_and_the_next_one_follows(
    app_context: None,
    share: Share,
    run_tasks: Callable[[], list[str]],
    outbox: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    share(new_id(), 1, 2, 3, 4, 5)
    sequence()
    age(31)
    trim_feed()
    assert (left(), trimmed()) == (3, 2)
    assert outbox() == ["core.trim_feed"]
    run_tasks()
    assert (left(), trimmed()) == (0, 5)


def test_what_a_listener_has_still_to_hear_is_kept(
    app_context: None, runtime: Runtime, share: Share, run_tasks: Callable[[], list[str]]
) -> None:
    heard: list[Envelope] = []
    runtime.tasks["core.hear"] = Task("core.hear", _deliver(heard.append), Options())
    runtime.listeners["core.note_shared/1"] = ["core.hear"]
    share(new_id(), 1)
    del runtime.listeners["core.note_shared/1"]
    share(new_id(), 2)
    sequence()
    age(31, FeedEntry, OutboxRow)
    trim_feed()
    assert (left(), trimmed()) == (1, 2)
    assert run_tasks() == ["core.hear"]
    assert [envelope.payload["number"] for envelope in heard] == [1]
    del runtime.tasks["core.hear"]
    trim_feed()
    assert left() == 0


def test_what_is_kept_for_listeners_is_passed_over_in_bounded_batches(
    app_context: None,
    runtime: Runtime,
    share: Share,
    run_tasks: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    runtime.listeners["core.note_shared/1"] = ["core.trim_feed"]
    share(new_id(), 1, 2, 3)
    del runtime.listeners["core.note_shared/1"]
    share(new_id(), 4, 5)
    sequence()
    age(31)
    with unit_of_work() as uow:
        uow.session.execute(update(OutboxRow).values(dead_at=database_now()))
    trim_feed()
    assert (left(), trimmed()) == (5, 0)
    assert run_tasks() == ["core.trim_feed", "core.trim_feed"]
    assert (left(), trimmed()) == (3, 5)


def test_a_statement_has_no_more_parameters_for_more_dead_letters(
    app_context: None, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    share(new_id(), 1, 2)
    sequence()
    with unit_of_work() as uow:
        for _ in range(50):
            uow.enqueue("core.trim_feed", event_id=str(new_id()))
    with unit_of_work() as uow:
        uow.session.execute(update(OutboxRow).values(dead_at=database_now()))
    age(31, FeedEntry, OutboxRow)
    most = 0

    def count(_c: Any, _cursor: Any, _s: str, parameters: Any, *_: Any) -> None:
        nonlocal most
        most = max(most, len(parameters))

    event.listen(db.engine, "before_cursor_execute", count)
    try:
        trim_feed()
    finally:
        event.remove(db.engine, "before_cursor_execute", count)
    assert left() == 0
    assert 0 < most < 25  # an insert of work takes ten by itself


def test_the_head_stays_where_it_is_when_everything_is_gone(
    app_context: None, share: Share
) -> None:
    share(new_id(), 1, 2)
    sequence()
    age(31)
    trim_feed()
    share(new_id(), 3)
    sequence()
    assert (head(), trimmed()) == (3, 2)
