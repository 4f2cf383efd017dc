"""Who keeps a task's leases waits for the database, and does not take that for a hang."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.nightly
def test_a_task_that_writes_first_and_works_on_is_no_hang(workers: Any) -> None:
    workers.enqueue("heavy_write_and_work", seconds=10)
    workers.start("heavy", CREW_SILENCE="4")
    workers.until_done("heavy_write_and_work", within=60)
    (row,) = workers.rows("heavy_write_and_work")
    assert (row.attempts, len(workers.effects())) == (1, 1)
    assert "Timeout" not in workers.said  # what C code writes when it ends a process
