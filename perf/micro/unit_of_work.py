"""What a unit of work costs: its event, its listener and its key, against the bare insert.

    python perf/micro/unit_of_work.py                      # SQLite and PostgreSQL, half a minute
    python perf/micro/unit_of_work.py --on postgresql --rounds 2000

Every way inserts one row of the same table and commits it, in this process, by turns, so that what
else the machine does meets all of them. Wake-ups go to a real broker that nobody listens to.

- bare: SQLAlchemy's session, one insert, one commit.
- unit: the same row in a unit of work.
- event: and one event with one listener, which is a feed entry and a piece of durable work.
- plain POST, keyed POST: a whole request that does the same as `event`, without and with an
  `Idempotency-Key`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import UUID

from flask import Flask
from sqlalchemy import insert

from trellis.api import access
from trellis.db import new_id, utcnow
from trellis.db.base import db
from trellis.db.engine import UNIT
from trellis.events import Event
from trellis.privacy.models import Erasure
from trellis.runtime import Runtime
from trellis.task import Options, Task
from trellis.testing.databases import on_postgresql, on_sqlite
from trellis.testing.environment import Environment
from trellis.testing.postgresql import DURABLE, PostgreSQL
from trellis.unit_of_work import unit_of_work


@dataclass(frozen=True)
class Measured(Event):
    """An event of this measurement."""

    resource: ClassVar[str] = "thing"
    operation: ClassVar[Literal["created", "updated", "deleted"]] = "created"
    id: UUID

    def resource_id(self) -> str:
        """The thing."""
        return str(self.id)


def bare() -> None:
    """One insert, one commit, nothing of ours."""
    session = db.session()
    session.connection(execution_options=UNIT)
    session.execute(insert(Erasure), [_row()])
    session.commit()
    db.session.remove()


def unit() -> None:
    """The same through a unit of work."""
    with unit_of_work() as uow:
        uow.session.execute(insert(Erasure), [_row()])


def event() -> None:
    """The same with an event and its listener."""
    with unit_of_work() as uow:
        row = _row()
        uow.session.execute(insert(Erasure), [row])
        uow.publish(Measured(row["id"]))


def _row() -> dict[str, Any]:
    return {"id": new_id(), "subject": None, "requested_at": utcnow(), "completed_at": None}


def _listener(event_id: str) -> None:
    """Never runs."""


def prepare(app: Flask) -> dict[str, Callable[[], None]]:
    """The ways, by name."""
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[Measured] = "core.measured/1"
    runtime.tasks["core.listen"] = Task("core.listen", _listener, Options())
    runtime.listeners["core.measured/1"] = ["core.listen"]

    def view() -> str:
        event()
        return ""

    app.add_url_rule("/measured", view_func=access(public="a measurement")(view), methods=["POST"])
    client = app.test_client()

    def post(headers: dict[str, str]) -> None:
        assert client.post("/measured", headers=headers).status_code == 200

    def in_context(way: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with app.app_context():
                way()

        return run

    return {
        "bare": in_context(bare),
        "unit": in_context(unit),
        "event": in_context(event),
        "plain POST": lambda: post({}),
        "keyed POST": lambda: post({"Idempotency-Key": str(new_id())}),
    }


def measure(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, run by turns in an order that is new each time.

    What one way leaves behind (pages to write, caches that are cold) meets all others alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in random.sample(list(ways.items()), len(ways)):
            began = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[rounds // 10 :]) for name, times in taken.items()}


def run(kind: str, rounds: int) -> None:
    """Measure on one kind of database and print the medians and ratios."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if kind == "postgresql":
            server = PostgreSQL(DURABLE)
            stack.callback(server.close)
            server.start()
            database = stack.enter_context(on_postgresql(server.url()))
        else:
            database = stack.enter_context(on_sqlite(directory))
        environment = stack.enter_context(Environment.started(directory, database))
        medians = measure(prepare(environment.app), rounds)
    print(f"\n{kind}, {rounds} rounds")
    for name, seconds in medians.items():
        against = "plain POST" if "POST" in name else "bare"
        ratio = seconds / medians[against]
        print(f"  {name:<11} {seconds * 1e6:8.0f} µs   {ratio:5.2f} x {against}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--on", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--rounds", type=int, default=500)
    arguments = parser.parse_args()
    for chosen in arguments.on or ["sqlite", "postgresql"]:
        run(chosen, arguments.rounds)
