"""What a compiled read costs, against the same select through SQLAlchemy and through the driver.

    python perf/micro/compiled_reads.py                      # SQLite and PostgreSQL, half a minute
    python perf/micro/compiled_reads.py --on postgresql --rounds 5000

Every way reads the same rows, in this process, by turns. Times are medians: of this thread's
processor, and in brackets until the answer is there (with the database's own work in them).

- before: composed for the call, on an engine of its own options: how reads were before.
- plain: composed for the call, and handed to `fetch_all` or `fetch_one`.
- built: composed once, and handed to them.
- compiled: the same in `Compiled`.
- driver: the driver's rows from a connection that is kept, as nobody could use it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    insert,
    select,
)

from trellis.db import Compiled, UTCDateTime, fetch_all, fetch_one, new_id, utcnow
from trellis.db.base import db
from trellis.testing.databases import on_postgresql, on_sqlite
from trellis.testing.environment import Environment
from trellis.testing.postgresql import PostgreSQL
from trellis.unit_of_work import unit_of_work

THINGS = Table(
    "measured_thing",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("title", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("read_at", UTCDateTime),
    Index("ix_measured_thing_owner", "owner_id", "id"),
)
C = THINGS.c
_SHOWN = select(THINGS)
_BUILT_LIST = _SHOWN.where(C.owner_id == bindparam("owner_id")).order_by(C.id.desc()).limit(20)
_BUILT_ROW = _SHOWN.where(C.id == bindparam("id"))
_LIST = Compiled(_BUILT_LIST)
_ROW = Compiled(_BUILT_ROW)
_OWNERS, _EACH = 50, 40

Way = Callable[[], Any]


def fill() -> tuple[UUID, UUID]:
    """Make the table; returns the ids of one owner and of one row of theirs."""
    THINGS.create(db.engine)
    owners = [new_id() for _ in range(_OWNERS)]
    made: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "owner_id": owner,
            "kind": "measured",
            "title": f"Thing {number}",
            "body": "Lorem ipsum dolor sit amet. " * 4,
            "size": number,
            "open": number % 2 == 0,
            "facts": {"number": number, "colour": "green"},
            "created_at": utcnow(),
            "read_at": utcnow() if number % 2 else None,
        }
        for number in range(_EACH)
        for owner in owners
    ]
    with unit_of_work() as uow:
        uow.session.execute(insert(THINGS), made)
    return owners[7], next(row["id"] for row in made if row["owner_id"] == owners[7])


def lists(owner: UUID) -> dict[str, Way]:
    """Ways to read a list of 20 rows."""

    def composed() -> Any:
        return _SHOWN.where(C.owner_id == owner).order_by(C.id.desc()).limit(20)

    return {
        "before": lambda: _before(composed(), all_=True),
        "plain": lambda: fetch_all(composed()),
        "built": lambda: fetch_all(_BUILT_LIST, owner_id=owner),
        "compiled": lambda: fetch_all(_LIST, owner_id=owner),
        "driver": _driver("owner_id = {} ORDER BY id DESC LIMIT 20", owner),
    }


def rows(row: UUID) -> dict[str, Way]:
    """Ways to read one row."""
    return {
        "before": lambda: _before(_SHOWN.where(C.id == row), all_=False),
        "plain": lambda: fetch_one(_SHOWN.where(C.id == row)),
        "built": lambda: fetch_one(_BUILT_ROW, id=row),
        "compiled": lambda: fetch_one(_ROW, id=row),
        "driver": _driver("id = {}", row),
    }


def _before(statement: Any, *, all_: bool) -> Any:
    engine = db.engine
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.execute(statement)
        return result.all() if all_ else result.first()


def _driver(condition: str, value: UUID) -> Way:
    columns = ", ".join(column.name for column in C)
    kept = db.engine.raw_connection()
    connection: Any = kept.driver_connection
    kept.detach()
    if db.engine.dialect.name == "sqlite":
        text = f"SELECT {columns} FROM measured_thing WHERE {condition.format('?')}"  # noqa: S608 (nobody's input)
        return lambda: connection.execute(text, (value.hex,)).fetchall()
    text = f"SELECT {columns} FROM measured_thing WHERE {condition.format('%s')}"  # noqa: S608 (nobody's input)
    connection.autocommit = True
    return lambda: connection.execute(text, (value,), binary=True).fetchall()


def measure(ways: dict[str, Way], rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of the processor and of the clock, run by turns in an order of chance."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in random.sample(list(ways.items()), len(ways)):
            began, worked = time.perf_counter(), time.thread_time()
            way()
            taken[name].append((time.thread_time() - worked, time.perf_counter() - began))
    return {name: _medians(times[rounds // 10 :]) for name, times in taken.items()}


def _medians(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    worked, passed = zip(*times, strict=True)
    return statistics.median(worked), statistics.median(passed)


def run(kind: str, rounds: int) -> None:
    """Measure on one kind of database and print medians and ratios."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if kind == "postgresql":
            server = PostgreSQL()
            stack.callback(server.close)
            server.start()
            database = stack.enter_context(on_postgresql(server.url()))
        else:
            database = stack.enter_context(on_sqlite(directory))
        environment = stack.enter_context(Environment.started(directory, database))
        with environment.app.app_context():
            owner, row = fill()
            for what, ways in (("20 rows", lists(owner)), ("1 row", rows(row))):
                print(f"\n{kind}, {what} of {len(C)} columns, {rounds} rounds")
                medians = measure(ways, rounds)
                for name, (worked, passed) in medians.items():
                    ratio = medians["before"][0] / worked
                    figures = f"{worked * 1e6:6.0f} µs ({passed * 1e6:5.0f})"
                    print(f"  {name:<9} {figures}   {ratio:5.2f} x before")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--on", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--rounds", type=int, default=1500)
    arguments = parser.parse_args()
    for chosen in arguments.on or ["sqlite", "postgresql"]:
        run(chosen, arguments.rounds)
