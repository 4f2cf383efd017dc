"""The report of a run for the terminal: a table of requests, the journey, and the verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.table import Table

from trellis_perf.figures import JOURNEY, REFERENCE, Figures, Row

_WIDTH_WITHOUT_TERMINAL = 120


def print_report(
    figures: Figures,
    faults: Sequence[str],
    *,
    budgets: Collection[str],
    uncalled: Collection[str],
) -> None:
    """Print it; ``budgets`` names rows that have one, ``uncalled`` operations never called."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    steps = [row for row in figures.rows if row.name.startswith(JOURNEY)]
    reference = [row for row in figures.rows if row.name == REFERENCE]
    requests = sorted(
        (row for row in figures.rows if row not in steps and row not in reference),
        key=lambda row: row.name,
    )
    console.print(_table("Request", [*reference, *requests]))
    if steps:
        console.print(_table("Step of the journey", steps, inside=False))
    for sentence in _notes(requests, budgets, uncalled):
        console.print(f"  {sentence}")
    for fault in faults:
        console.print(f"  ✗ {fault}", style="red", markup=False)
    if faults:
        verdict = f"{len(faults)} fault(s)"
    else:
        verdict = "within its budgets" if budgets else "nothing failed, and there is no budget"
    total = sum(row.count + row.failed for row in figures.rows)
    console.print(f"\n{total} requests in {figures.seconds:.0f} s: {verdict}")


def _table(title: str, rows: Iterable[Row], *, inside: bool = True) -> Table:
    table = Table(title, box=None, header_style="bold", padding=(0, 1))
    looks_inside = ("x ref.", "SQL", "bytes") if inside else ()
    for column in ("count", "failed", "p50 ms", "p95 ms", "p99 ms", *looks_inside):
        table.add_column(column, justify="right")
    for row in rows:
        cells = [
            row.name.removeprefix(JOURNEY),
            str(row.count),
            str(row.failed),
            *(_number(time) for time in (row.p50, row.p95, row.p99)),
        ]
        if inside:
            size = "-" if row.bytes is None else str(row.bytes)
            cells += [_number(row.ratio_p50), _number(row.statements, 2), size]
        table.add_row(*cells, style="red" if row.failed else None)
    return table


def _notes(
    requests: Iterable[Row], budgets: Collection[str], uncalled: Collection[str]
) -> Iterable[str]:
    yield "x ref.: p50 as a multiple of the reference's; SQL: mean statements; bytes: median body"
    if budgets and (without := sorted(row.name for row in requests if row.name not in budgets)):
        yield f"no budget: {', '.join(without)}"
    if uncalled:
        yield f"not covered by any scenario: {', '.join(sorted(uncalled))}"


def _number(value: float | None, places: int = 1) -> str:
    return "-" if value is None else f"{value:.{places}f}"
