"""A claim goes by its index, however many rows wait: a database that sorts them all sinks."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from sqlalchemy import text, update

from trellis.db import database_now
from trellis.db.base import db
from trellis.outbox.lease import Which, _claiming
from trellis.outbox.models import outbox
from trellis.runtime import runtime
from trellis.unit_of_work import unit_of_work


def _idle() -> None:
    """Does nothing."""


@pytest.mark.parametrize("analyzed", [False, True], ids=["not counted yet", "counted"])
@pytest.mark.parametrize("which", get_args(Which))
def test_rows_are_found_in_order(
    app_context: None, declare_task: Any, which: Which, analyzed: bool
) -> None:
    name = declare_task(_idle)
    with unit_of_work() as uow:
        for _ in range(2000):
            uow.enqueue(name)
    with unit_of_work() as uow:
        some = outbox.select().with_only_columns(outbox.c.id).limit(500)
        uow.session.execute(
            update(outbox).where(outbox.c.id.in_(some)).values(done_at=database_now())
        )
        if analyzed:
            uow.session.execute(text("ANALYZE core_outbox"))
    claiming = _claiming(which, tuple(runtime().tasks), False)
    parameters = {"of_queue": "light", "at_most": 8}
    explain = "EXPLAIN " if db.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    with unit_of_work() as uow:
        uow.execute(claiming, **parameters)
        assert claiming._plan is not None
        sent, values = claiming._plan._bound(parameters)
        rows = uow.session.connection().exec_driver_sql(
            explain + sent, values if isinstance(values, dict) else tuple(values)
        )
        plan = "\n".join(str(row[-1]) for row in rows)
    index = "ix_core_outbox_leased" if which == "abandoned" else "ix_core_outbox_open"
    assert index in plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan
