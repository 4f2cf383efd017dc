"""Where the feed has a gap the follower goes on behind it: after a restore, and after long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import fetch_value
from trellis.feed import head, retention
from trellis.feed.models import FeedHead
from trellis.feed.sequencer import sequence
from trellis.unit_of_work import unit_of_work
from trellis_webhooks import services
from trellis_webhooks.models import Cursor

Make = Callable[..., tuple[UUID, str]]


def test_after_a_restore_an_endpoint_hears_of_what_happens_next(
    endpoint: Make, happen: Any, run_tasks: Any, receiver: Receiver
) -> None:
    """A restore moves the feed's head far up, so that no cursor of the lost days fits."""
    endpoint()
    happen(3)
    sequence()
    with unit_of_work() as uow:
        uow.session.execute(update(FeedHead).values(position=10**15, trimmed=10**15))
    [heard] = happen()
    while run_tasks():
        pass
    assert fetch_value(select(Cursor.position)) == head() == 10**15 + 1
    assert len(receiver.calls) == 4
    assert str(heard) in receiver.calls[-1].body.decode()


def test_what_was_trimmed_before_it_was_read_is_passed_over(
    endpoint: Make, happen: Any, run_tasks: Any, receiver: Receiver
) -> None:
    endpoint()
    happen(500)
    sequence()
    retention.trim(keep_seconds=-60)
    [heard] = happen()
    sequence()
    services.follow()
    while run_tasks():
        pass
    assert fetch_value(select(Cursor.position)) == head() == 501
    assert [str(heard) in call.body.decode() for call in receiver.calls] == [True]
