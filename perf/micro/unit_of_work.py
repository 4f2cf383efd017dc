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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from uuid import UUID

from flask import Flask
from sqlalchemy import insert

from environments import add_kinds, environment_on
from trellis.api import access
from trellis.db import new_id, utcnow
from trellis.db.base import db
from trellis.db.engine import UNIT
from trellis.events import Event
from trellis.privacy.models import Erasure
from trellis.runtime import Runtime
from trellis.task import Options, Task
from trellis.unit_of_work import unit_of_work
from turns import measure, parser_of, report


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


def run(kind: str, rounds: int) -> None:
    """Measure on one kind of database and print the medians and ratios."""
    with environment_on(kind) as environment:
        medians = measure(prepare(environment.app), rounds)
    print(f"\n{kind}, {rounds} rounds")
    report(
        medians,
        lambda name: "plain POST" if "POST" in name else "bare",
        lambda base, one: one.passed / base.passed,
    )


if __name__ == "__main__":
    parser = parser_of(__doc__, rounds=500)
    add_kinds(parser)
    arguments = parser.parse_args()
    for chosen in arguments.on:
        run(chosen, arguments.rounds)
