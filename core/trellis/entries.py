"""What a unit of work leaves for others: its events and its work, inserted before it commits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Float, Table, bindparam, insert, text
from sqlalchemy.dialects import sqlite

from trellis.db.clock import database_now
from trellis.feed.models import FeedEntry
from trellis.feed.record import FeedRecord
from trellis.outbox.models import outbox
from trellis.outbox.record import OutboxRecord
from trellis_statements.compiled import Compiled


def append(
    connection: Connection, events: Sequence[FeedRecord], work: Sequence[OutboxRecord]
) -> None:
    """Insert them in the present transaction; work whose unique key is taken is left out.

    Events have no position in the feed yet, and stand in the order of the sequence.
    """
    entries = [record.row() for record in events]
    rows = [record.row() for record in work]
    if connection.dialect.name == "postgresql":
        written = {"entries": _json(entries, "payload"), "work": _json(rows, "arguments")}
        _ON_POSTGRESQL.run(connection, written)
        return
    if entries:
        _EVENT.run(connection, entries)
    if rows:
        _WORK.run(connection, rows)


# One statement for both, written by hand: each further one would cost as much as a quick commit.
# What people write is JSON within JSON: as it is, PostgreSQL would refuse some of its escapes.
_ON_POSTGRESQL = Compiled(
    text("""
WITH entries AS (
    INSERT INTO core_feed_entry (event_id, type, audience, subject, resource, resource_id,
                                 operation, payload, created_at)
    SELECT event_id, type, audience, subject, resource, resource_id, operation,
           CAST(payload AS json), clock_timestamp()
    FROM ROWS FROM (json_to_recordset(:entries) AS (
        event_id uuid, type text, audience text, subject uuid, resource text, resource_id text,
        operation text, payload text)) WITH ORDINALITY
    ORDER BY ordinality
)
INSERT INTO core_outbox (id, task, queue, priority, arguments, subject, unique_key, created_at,
                         due_at, fence)
SELECT id, task, queue, priority, CAST(arguments AS json), subject, unique_key, clock_timestamp(),
       clock_timestamp() + make_interval(secs => delay), 0
FROM json_to_recordset(:work) AS work(
    id uuid, task text, queue text, priority smallint, arguments text, subject uuid,
    unique_key text, delay double precision)
ON CONFLICT (unique_key) DO NOTHING
""")
)


def _given(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_EVENT = Compiled(
    insert(cast("Table", FeedEntry.__table__)).values(
        created_at=database_now(),
        **_given("event_id", "type", "audience", "subject"),
        **_given("resource", "resource_id", "operation", "payload"),
    )
)
_WORK = Compiled(
    sqlite.insert(outbox)
    .values(
        created_at=database_now(),
        due_at=database_now(bindparam("delay", type_=Float())),
        fence=0,
        **_given("id", "task", "queue", "priority", "arguments", "subject", "unique_key"),
    )
    .on_conflict_do_nothing(index_elements=["unique_key"])
)


def _json(rows: Sequence[dict[str, Any]], free: str) -> str:
    return json.dumps([{**row, free: json.dumps(row[free])} for row in rows], default=_uuid)


def _uuid(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
