"""Budgets by kind of request, and the verdict over a run.

Times are judged as multiples of the reference that was interleaved in the same run, so that they
hold on any machine; in milliseconds only against the baseline of an environment with a name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trellis_perf.figures import REFERENCE, Figures, Row

ENOUGH = {"p50": 30, "p95": 100, "p99": 500}
"""With fewer requests a percentile stands on a handful of them, and is not judged."""

_NO_REFERENCE = "the reference was never answered, so no time can be judged"

_Limit = Annotated[float, Field(gt=0)] | None


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(_Table):
    """The most that a kind of request may take; what is not named is not limited."""

    failures: float = Field(default=0, ge=0, le=1)
    """Share of its requests."""
    statements: float | None = Field(default=None, ge=0)
    """SQL statements for one request, the mean."""
    bytes: _Limit = None
    """Of the answer's body, the median."""
    p50: _Limit = None
    p95: _Limit = None
    """Multiples of the reference's."""


class Baseline(_Table):
    """The most milliseconds that a kind of request may take in one environment."""

    p50: _Limit = None
    p95: _Limit = None
    p99: _Limit = None


class BudgetFileError(Exception):
    """A file of budgets cannot be used; the text is one sentence."""


class _BudgetFile(_Table):
    operations: dict[str, Budget]


class _BaselineFile(_Table):
    operations: dict[str, Baseline]


_File = TypeVar("_File", bound=_Table)


def read_budgets(path: Path) -> Mapping[str, Budget]:
    """Budgets by kind of request. Raises BudgetFileError."""
    return _read(path, _BudgetFile).operations


def read_baseline(path: Path) -> Mapping[str, Baseline]:
    """The baseline of a named environment. Raises BudgetFileError."""
    return _read(path, _BaselineFile).operations


def _read(path: Path, kind: type[_File]) -> _File:
    try:
        return kind.model_validate(tomllib.loads(path.read_text()))
    except OSError as fault:
        raise BudgetFileError(f"{path} cannot be read: {fault.strerror}.") from fault
    except (tomllib.TOMLDecodeError, ValidationError) as fault:
        raise BudgetFileError(f"{path} is no file of budgets: {fault}") from fault


def judge(
    figures: Figures,
    budgets: Mapping[str, Budget],
    baseline: Mapping[str, Baseline],
    operations: Collection[str],
) -> list[str]:
    """What is wrong with a run, a sentence each; empty when it is within its budgets.

    ``operations`` are the ids that the server knows: a budget of any other name guards nothing.
    """
    rows = figures.by_name
    return [
        *(f"{text} ({times} times)" for text, times in figures.errors.items()),
        *(
            f"there is a budget for {name}, but no such operation or request"
            for name in sorted({*budgets, *baseline} - {*operations, *rows})
        ),
        *([] if REFERENCE in rows and rows[REFERENCE].p50 else [_NO_REFERENCE]),
        *(
            fault
            for row in figures.rows
            for fault in (
                *_over_budget(row, budgets.get(row.name, Budget())),
                *_over_baseline(row, baseline.get(row.name, Baseline())),
            )
        ),
    ]


def _over_budget(row: Row, budget: Budget) -> Iterator[str]:
    asked = row.count + row.failed
    if row.failed > budget.failures * asked:
        most = max(row.failures, key=lambda text: row.failures[text])
        yield f"{row.name}: {row.failed} of {asked} failed, most with {most!r}"
    if _exceeds(row.statements, budget.statements):
        yield f"{row.name}: {row.statements:.2f} statements, allowed {budget.statements:g}"
    if _exceeds(row.bytes, budget.bytes):
        yield f"{row.name}: {row.bytes} bytes, allowed {budget.bytes:g}"
    for name, ratio, allowed in (
        ("p50", row.ratio_p50, budget.p50),
        ("p95", row.ratio_p95, budget.p95),
    ):
        if row.count >= ENOUGH[name] and _exceeds(ratio, allowed):
            yield f"{row.name}: {name} is {ratio:.1f} x the reference's, allowed {allowed:g} x"


def _over_baseline(row: Row, baseline: Baseline) -> Iterator[str]:
    for name, time, allowed in (
        ("p50", row.p50, baseline.p50),
        ("p95", row.p95, baseline.p95),
        ("p99", row.p99, baseline.p99),
    ):
        if row.count >= ENOUGH[name] and _exceeds(time, allowed):
            yield f"{row.name}: {name} is {time:.1f} ms, allowed {allowed:g} ms here"


def _exceeds(measured: float | None, allowed: float | None) -> bool:
    return measured is not None and allowed is not None and measured > allowed
