"""Ids sort by time; times keep their zone; the database's clock compares with stored times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from trellis.db import database_now, fetch_one, fetch_value, new_id, utcnow
from trellis.privacy.models import Erasure
from trellis.unit_of_work import unit_of_work


def test_ids_are_version_7_and_ascend() -> None:
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert {(made.version, made.variant) for made in ids} == {(7, RFC_4122)}
    assert abs((ids[-1].int >> 80) / 1000 - utcnow().timestamp()) < 60


def test_ids_of_many_threads_are_distinct() -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [new_id() for _ in range(2000)], range(4)))
    assert len({made for batch in batches for made in batch}) == 8000


def test_times_come_back_aware_and_in_utc(app_context: None) -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    with unit_of_work() as uow:
        uow.session.add(Erasure(id=(made := new_id()), requested_at=noon))
    row = fetch_one(select(Erasure.requested_at).where(Erasure.id == made))
    assert row is not None
    assert row.requested_at == noon
    assert row.requested_at.tzinfo is UTC


def test_a_time_without_zone_is_refused(app_context: None) -> None:
    naive = datetime(2026, 7, 1, 12)  # noqa: DTZ001 (that is the point)
    with pytest.raises(StatementError, match="zone"), unit_of_work() as uow:
        uow.session.add(Erasure(id=new_id(), requested_at=naive))


def test_the_database_clock_compares_with_stored_times(app_context: None) -> None:
    now = fetch_value(select(database_now()))
    assert abs(now - utcnow()) < timedelta(seconds=60)
    with unit_of_work() as uow:
        uow.session.add(Erasure(id=new_id(), requested_at=now))
    for seconds, expected in ((-5, 0), (5, 1)):
        earlier = select(Erasure.id).where(Erasure.requested_at < database_now(seconds))
        assert (fetch_one(earlier) is not None) == bool(expected)
