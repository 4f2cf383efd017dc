"""What is forgotten by age goes in bounded steps, however much of it there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, update

from trellis.api import tasks as of_answers
from trellis.api.models import StoredAnswer
from trellis.db import database_now, fetch_value, new_id, utcnow
from trellis.outbox import tasks as of_work
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app_context")
LONG_AGO = -48 * 3600


def make_work(number: int) -> None:
    with unit_of_work() as uow:
        for _ in range(number):
            uow.enqueue("core.trim_feed")
    with unit_of_work() as uow:
        uow.session.execute(update(OutboxRow).values(done_at=database_now(LONG_AGO)))


def make_answers(number: int) -> None:
    with unit_of_work() as uow:
        for _ in range(number):
            name, now = new_id().hex, utcnow()
            uow.session.add(StoredAnswer(id=name, fingerprint="", answer=b"", created_at=now))
        uow.session.flush()
        uow.session.execute(update(StoredAnswer).values(created_at=database_now(LONG_AGO)))


@pytest.mark.parametrize(
    ("make", "model", "room", "task"),
    [
        (make_work, OutboxRow, of_work, "purge_outbox"),
        (make_answers, StoredAnswer, of_answers, "purge_answers"),
    ],
)
def test_a_batch_is_bounded_and_the_next_one_follows(
    make: Callable[[int], None],
    model: Any,
    room: Any,
    task: str,
    outbox: Callable[[], list[str]],
    run_tasks: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "_BATCH", 2)
    make(5)
    old = select(func.count()).select_from(model)
    if model is OutboxRow:
        old = old.where(OutboxRow.done_at < database_now(LONG_AGO / 2))
    getattr(room, task)()
    assert (fetch_value(old), outbox()) == (3, [f"core.{task}"])
    run_tasks()
    assert (fetch_value(old), outbox()) == (0, [])
