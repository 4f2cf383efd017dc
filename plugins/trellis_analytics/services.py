"""The verbs of analytics: record events, count them, forget them.

Reports are cached under a tag for each day that they cover, and a batch outdates the days that it
touches. So what was sent shows at once, and a report of days gone by stays kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, distinct, func, select, tuple_

from trellis.cache import cached
from trellis.contracts import Identity, Principal, port
from trellis.db import fetch_all, fetch_value, insert_into, new_id, utcnow
from trellis.errors import Unauthenticated
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_analytics.models import NAME_PATTERN, AnalyticsEvent, NewEvent, properties_fault
from trellis_analytics.settings import AnalyticsSettings

_REPORT_SECONDS = 600
_DROP_AT_ONCE = 10_000


@dataclass(frozen=True)
class Receipt:
    """What became of a batch."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class ActiveUsersDay:
    """How many different people sent an event of that UTC day."""

    day: date
    users: int


@dataclass(frozen=True)
class EventCount:
    """How often something was done."""

    name: str
    count: int


@dataclass(frozen=True)
class EventCountsDay:
    """What was done on a UTC day; ``total`` also counts names that are not shown."""

    day: date
    total: int
    events: Sequence[EventCount]


# --- recording ----------------------------------------------------------------------------------


def record_batch(sender: Principal, events: Sequence[NewEvent]) -> Receipt:
    """Store events of the sender, durable when this returns; an id that is there counts no more.

    Raises Unauthenticated when the sender's access has ended meanwhile.
    """
    with unit_of_work() as uow:
        # Asked inside the transaction, which `uow.session` begins: a batch that was long on its way
        # must not bring anything back after the sender was erased.
        _ = uow.session
        if not port(Identity).is_alive(sender):
            raise Unauthenticated
        accepted = _store(uow, sender.id, events)
    return Receipt(accepted, len(events) - accepted)


class Recorder:
    """Implements `trellis.contracts.EventSink`."""

    def track(self, user_id: UUID, name: str, properties: Mapping[str, Any]) -> None:
        """Raises ValueError for a name or properties that no event can have."""
        if not re.match(NAME_PATTERN, name):
            raise ValueError(f"{name!r} cannot be the name of an event")
        fault = properties_fault(properties, AnalyticsSettings.current().max_properties_bytes)
        if fault:
            raise ValueError(fault)
        with unit_of_work() as uow:
            _store(uow, user_id, [NewEvent(str(new_id()), name, utcnow(), properties)])


def event_sink() -> Recorder:
    """The provider of the port."""
    return Recorder()


def record_bulk(events: Iterable[tuple[UUID, NewEvent]]) -> None:
    """Store events of many people as if each had been received when it happened; for factories."""
    settings = AnalyticsSettings.current()
    with unit_of_work() as uow:
        rows = [_row(user_id, event, event.occurred_at, settings) for user_id, event in events]
        if rows:
            statement = insert_into(uow.session, AnalyticsEvent).on_conflict_do_nothing()
            uow.session.execute(statement, rows)
        _outdate(uow, (row["day"] for row in rows))


def _store(uow: UnitOfWork, user_id: UUID, events: Iterable[NewEvent]) -> int:
    settings, received = AnalyticsSettings.current(), utcnow()
    # In one order for all: two batches with the same ids would else wait for one another for ever.
    ordered = sorted(events, key=lambda event: event.id)
    rows = [_row(user_id, event, received, settings) for event in ordered]
    if not rows:
        return 0
    statement = insert_into(uow.session, AnalyticsEvent).on_conflict_do_nothing()
    stored = uow.session.execute(statement.returning(AnalyticsEvent.day), rows).scalars().all()
    _outdate(uow, stored)
    return len(stored)


def _row(
    user_id: UUID, event: NewEvent, received: datetime, settings: AnalyticsSettings
) -> dict[str, Any]:
    occurred = believable(event.occurred_at, received, settings)
    return {
        "user_id": user_id,
        "id": event.id,
        "name": event.name,
        "occurred_at": occurred,
        "received_at": received,
        "claimed_at": None if occurred == event.occurred_at else event.occurred_at.isoformat(),
        "day": occurred.date(),
        "properties": dict(event.properties),
    }


def believable(claimed: datetime, received: datetime, settings: AnalyticsSettings) -> datetime:
    """The time as of which an event counts, in UTC, given what the phone's clock said."""
    if claimed > received + timedelta(seconds=settings.clock_skew_seconds):
        return received
    # Compared first: a time at the edge of the calendar cannot be brought to UTC.
    earliest = received - timedelta(days=settings.max_event_age_days)
    return earliest if claimed < earliest else claimed.astimezone(UTC)


# --- reports ------------------------------------------------------------------------------------


def daily_active_users(since: date, until: date) -> list[ActiveUsersDay]:
    """Different people for each day, both ends included."""
    users = _in_two_parts(_active_users, since, until)
    return [ActiveUsersDay(day, users.get(day.isoformat(), 0)) for day in _days(since, until)]


def event_counts(since: date, until: date) -> list[EventCountsDay]:
    """Events of each name for each day, both ends included; the most frequent names first."""
    most = AnalyticsSettings.current().max_report_names
    found = _in_two_parts(lambda first, last: _event_counts(first, last, most), since, until)
    report = []
    for day in _days(since, until):
        total, counts = found.get(day.isoformat(), (0, ()))
        report.append(EventCountsDay(day, total, [EventCount(*pair) for pair in counts]))
    return report


def _in_two_parts(read: Any, since: date, until: date) -> dict[str, Any]:
    """Today on its own: it changes all the time, and would take the days gone by with it."""
    today = utcnow().date()
    if not since < today <= until:
        found: dict[str, Any] = read(since, until)
        return found
    return read(since, today - timedelta(days=1)) | read(today, until)  # type: ignore[no-any-return]


def _day_tags(since: date, until: date, **_: Any) -> list[str]:
    return [_tag(day) for day in _days(since, until)]


@cached(tags=_day_tags, seconds=_REPORT_SECONDS)
def _active_users(since: date, until: date) -> dict[str, int]:
    """Day to number of people."""
    event = AnalyticsEvent
    rows = fetch_all(
        select(event.day, func.count(distinct(event.user_id)))
        .where(event.day.between(since, until))
        .group_by(event.day)
    )
    return {day.isoformat(): users for day, users in rows}


@cached(tags=_day_tags, seconds=_REPORT_SECONDS)
def _event_counts(since: date, until: date, most: int) -> dict[str, tuple[int, list[Any]]]:
    """Day to the number of all its events, and to name and number of the ``most`` frequent."""
    event = AnalyticsEvent
    number = func.count()
    ranked = (
        select(
            event.day,
            event.name,
            number.label("number"),
            func.sum(number).over(partition_by=event.day).label("total"),
            func.row_number()
            .over(partition_by=event.day, order_by=(number.desc(), event.name))
            .label("rank"),
        )
        .where(event.day.between(since, until))
        .group_by(event.day, event.name)
        .subquery()
    )
    rows = fetch_all(
        select(ranked.c.day, ranked.c.name, ranked.c.number, ranked.c.total)
        .where(ranked.c.rank <= most)
        .order_by(ranked.c.day, ranked.c.rank)
    )
    found: dict[str, tuple[int, list[Any]]] = {}
    for day, name, count, total in rows:
        found.setdefault(day.isoformat(), (int(total), []))[1].append((name, count))
    return found


def _days(since: date, until: date) -> list[date]:
    return [since + timedelta(days=number) for number in range((until - since).days + 1)]


def _tag(day: date) -> str:
    return f"analytics.day:{day.isoformat()}"


def _outdate(uow: UnitOfWork, days: Any) -> None:
    for day in set(days):
        uow.invalidate(_tag(day))


# --- forgetting ---------------------------------------------------------------------------------


def drop_old_events() -> None:
    """Delete events of the oldest day past `retention_days`, and go on in a further task."""
    event = AnalyticsEvent
    first_kept = utcnow().date() - timedelta(days=AnalyticsSettings.current().retention_days)
    day: date | None = fetch_value(select(func.min(event.day)).where(event.day < first_kept))
    if day is None:
        return
    with unit_of_work() as uow:
        some = select(event.user_id, event.id).where(event.day == day).limit(_DROP_AT_ONCE)
        uow.session.execute(
            delete(event)
            .where(tuple_(event.user_id, event.id).in_(some))
            .execution_options(synchronize_session=False)
        )
        _outdate(uow, [day])
        uow.enqueue("analytics.drop_old_events")


def export_user(user_id: UUID) -> Mapping[str, Any]:
    """Every event of a person."""
    event = AnalyticsEvent
    rows = fetch_all(
        select(
            event.id,
            event.name,
            event.occurred_at,
            event.claimed_at,
            event.received_at,
            event.properties,
        )
        .where(event.user_id == user_id)
        .order_by(event.occurred_at, event.id)
    )
    return {
        "events": [
            dict(row._mapping)
            | {
                "occurred_at": row.occurred_at.isoformat(),
                "received_at": row.received_at.isoformat(),
            }
            for row in rows
        ]
    }


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Delete every event of a person; the counts of those days fall."""
    event = AnalyticsEvent
    with unit_of_work() as uow:
        days = uow.session.scalars(select(event.day).distinct().where(event.user_id == user_id))
        _outdate(uow, days.all())
        erased = uow.session.execute(
            delete(event)
            .where(event.user_id == user_id)
            .execution_options(synchronize_session=False)
        )
        return {"events": erased.rowcount}  # type: ignore[attr-defined]
