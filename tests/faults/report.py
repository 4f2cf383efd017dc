"""A line for each fault of a run: what was asked of it, what it answered, how soon it was well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

COLUMNS = ("row", "seconds", "calls", "operations", "answers", "recovery", "slowest call")


def line(
    name: str, seconds: float, acknowledged: dict[str, int], answers: dict[int, int],
    recovery: float, slowest: float,
) -> list[str]:  # fmt: skip
    """The cells of a row. ``answers`` counts by status, 0 being a connection that was cut."""
    by_status = " ".join(f"{status or 'cut'}:{n}" for status, n in sorted(answers.items()))
    return [
        name, f"{seconds:.0f}", str(sum(acknowledged.values())), str(len(acknowledged)),
        by_status, f"{recovery:.1f} s", f"{slowest:.1f} s",
    ]  # fmt: skip


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """The rows of all reports of tests that have one, as text in columns."""
    rows: list[Sequence[str]] = [COLUMNS]
    for report in reports:
        if report.when == "teardown":  # each of a test's three reports carries its properties
            rows += [cells for name, cells in report.user_properties if name == "fault"]  # type: ignore[misc]
    if len(rows) == 1:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
