"""What a compiled read costs, against the same select through SQLAlchemy and through the driver.

    python perf/micro/compiled_reads.py                      # SQLite and PostgreSQL, half a minute
    python perf/micro/compiled_reads.py --on postgresql --rounds 5000

Every way reads the same rows, in this process, by turns. Times are medians: until the
answer is there (with the database's own work in them), and in brackets of this thread's processor,
of which the ratios are.

- before: composed for the call, on an engine of its own options: how reads were before.
- plain: composed for the call, and handed to `fetch_all` or `fetch_one`.
- built: composed once, and handed to them.
- compiled: the same in `Compiled`.
- driver: the driver's rows from a connection that is kept, as nobody could use it.
"""

from __future__ import annotations

from collections.abc import Callable
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

from environments import add_kinds, environment_on
from trellis.db import Compiled, UTCDateTime, fetch_all, fetch_one, new_id, utcnow
from trellis.db.base import db
from trellis.unit_of_work import unit_of_work
from turns import Median, measure, parser_of, report

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


def _speed(before: Median, way: Median) -> float:
    return before.worked / way.worked


def run(kind: str, rounds: int) -> None:
    """Measure on one kind of database and print medians and ratios."""
    with environment_on(kind) as environment, environment.app.app_context():
        owner, row = fill()
        for what, ways in (("20 rows", lists(owner)), ("1 row", rows(row))):
            print(f"\n{kind}, {what} of {len(C)} columns, {rounds} rounds")
            report(measure(ways, rounds), lambda _: "before", _speed)


if __name__ == "__main__":
    parser = parser_of(__doc__, rounds=1500)
    add_kinds(parser)
    arguments = parser.parse_args()
    for chosen in arguments.on:
        run(chosen, arguments.rounds)
