"""What a unit of work leaves for others: its events and its work, inserted before it commits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Float, Insert, Table, bindparam, insert
from sqlalchemy.dialects import sqlite

from trellis.db.clock import database_now
from trellis.feed.models import FeedEntry
from trellis.feed.record import FeedRecord
from trellis.outbox.models import outbox
from trellis.outbox.record import OutboxRecord


def append(
    connection: Connection, events: Sequence[FeedRecord], work: Sequence[OutboxRecord]
) -> None:
    """Insert them in the present transaction; work whose unique key is taken is left out.

    Events have no position in the feed yet, and stand in the order of the sequence.
    """
    entries = [record.row() for record in events]
    rows = [record.row() for record in work]
    if connection.dialect.name == "postgresql":
        written = (_json(entries, "payload"), _json(rows, "arguments"))
        connection.exec_driver_sql(_POSTGRESQL, written)
        return
    if entries:
        connection.execute(_events_on_sqlite(), entries)
    if rows:
        connection.execute(_work_on_sqlite(), rows)


# One statement for both, written by hand: each further one would cost as much as a quick commit.
# What people write is JSON within JSON: as it is, PostgreSQL would refuse some of its escapes.
_POSTGRESQL = """
WITH entries AS (
    INSERT INTO core_feed_entry (event_id, type, audience, subject, resource, resource_id,
                                 operation, payload, created_at)
    SELECT event_id, type, audience, subject, resource, resource_id, operation, payload::json,
           clock_timestamp()
    FROM ROWS FROM (json_to_recordset(%s) AS (
        event_id uuid, type text, audience text, subject uuid, resource text, resource_id text,
        operation text, payload text)) WITH ORDINALITY
    ORDER BY ordinality
)
INSERT INTO core_outbox (id, task, queue, priority, arguments, subject, unique_key, created_at,
                         due_at, fence)
SELECT id, task, queue, priority, arguments::json, subject, unique_key, clock_timestamp(),
       clock_timestamp() + make_interval(secs => delay), 0
FROM json_to_recordset(%s) AS work(
    id uuid, task text, queue text, priority smallint, arguments text, subject uuid,
    unique_key text, delay double precision)
ON CONFLICT (unique_key) DO NOTHING
"""


def _json(rows: Sequence[dict[str, Any]], free: str) -> str:
    return json.dumps([{**row, free: json.dumps(row[free])} for row in rows], default=_uuid)


def _uuid(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


@cache
def _events_on_sqlite() -> Insert:
    return insert(cast("Table", FeedEntry.__table__)).values(created_at=database_now())


@cache
def _work_on_sqlite() -> Insert:
    return (
        sqlite.insert(outbox)
        .values(
            created_at=database_now(),
            due_at=database_now(bindparam("delay", type_=Float())),
            fence=0,
        )
        .on_conflict_do_nothing(index_elements=["unique_key"])
    )
