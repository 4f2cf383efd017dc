"""The verdict: which runs are within their budgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trellis_perf.budgets import (
    Baseline,
    Budget,
    BudgetFileError,
    judge,
    read_baseline,
    read_budgets,
)
from trellis_perf.figures import REFERENCE, Figures, Row

REFERENCE_ROW = Row(
    name=REFERENCE, count=600, failures={}, p50=2.0, p95=4.0, p99=8.0,
    ratio_p50=1.0, ratio_p95=1.0, bytes=16, statements=None,
)  # fmt: skip
LIST_ROW = Row(
    name="media_list_assets", count=500, failures={}, p50=6.0, p95=12.0, p99=20.0,
    ratio_p50=3.0, ratio_p95=3.0, bytes=4000, statements=1.5,
)  # fmt: skip


def verdict(row: Row, budget: Budget | None = None, baseline: Baseline | None = None) -> list[str]:
    figures = Figures(60, (REFERENCE_ROW, row), errors={})
    return judge(
        figures,
        {row.name: budget} if budget else {},
        {row.name: baseline} if baseline else {},
        operations={"media_list_assets"},
    )


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(p50=3.0), None),
        (Budget(p50=2.9), "p50 is 3.0 x the reference's, allowed 2.9 x"),
        (Budget(p95=3.0), None),
        (Budget(p95=2.0), "p95 is 3.0 x the reference's, allowed 2 x"),
        (Budget(statements=1.5), None),
        (Budget(statements=1.4), "1.50 statements, allowed 1.4"),
        (Budget(statements=0), "1.50 statements, allowed 0"),
        (Budget(bytes=4000), None),
        (Budget(bytes=3999), "4000 bytes, allowed 3999"),
    ],
)
def test_a_row_over_its_budget_is_a_fault(budget: Budget, told: str | None) -> None:
    expected = [f"media_list_assets: {told}"] if told else []
    assert verdict(LIST_ROW, budget) == expected


@pytest.mark.parametrize(
    ("baseline", "told"),
    [
        (Baseline(p50=6, p95=12, p99=20), None),
        (Baseline(p50=5), "p50 is 6.0 ms, allowed 5 ms here"),
        (Baseline(p95=11), "p95 is 12.0 ms, allowed 11 ms here"),
    ],
)
def test_milliseconds_count_in_a_named_environment(baseline: Baseline, told: str | None) -> None:
    expected = [f"media_list_assets: {told}"] if told else []
    assert verdict(LIST_ROW, baseline=baseline) == expected


def test_too_few_requests_have_no_percentile_to_judge() -> None:
    few = replace(LIST_ROW, count=29)
    assert verdict(few, Budget(p50=0.1, p95=0.1), Baseline(p50=0.1, p95=0.1, p99=0.1)) == []
    some = replace(LIST_ROW, count=99)
    assert [fault.partition(" is")[0] for fault in verdict(some, Budget(p50=0.1, p95=0.1))] == [
        "media_list_assets: p50"
    ]
    assert len(verdict(few, Budget(statements=1, bytes=1))) == 2


def test_any_failure_is_a_fault_unless_a_share_is_allowed() -> None:
    failing = replace(LIST_ROW, count=98, failures={"500 core.internal": 1, "timed out": 1})
    (fault,) = verdict(failing)
    assert fault.startswith("media_list_assets: 2 of 100 failed, most with ")
    assert verdict(failing, Budget(failures=0.02)) == []
    assert len(verdict(failing, Budget(failures=0.01))) == 1


def test_a_budget_for_what_does_not_exist_is_named() -> None:
    figures = Figures(60, (REFERENCE_ROW, LIST_ROW), errors={})
    budgets = {"media_list_assets": Budget(), "media_lost_assets": Budget(p50=1)}
    assert judge(figures, budgets, {"auth_sign_im": Baseline()}, {"media_list_assets"}) == [
        "there is a budget for auth_sign_im, but no such operation or request",
        "there is a budget for media_lost_assets, but no such operation or request",
    ]


def test_an_operation_that_was_not_called_may_have_a_budget() -> None:
    figures = Figures(60, (REFERENCE_ROW,), errors={})
    assert judge(figures, {"media_list_assets": Budget(p50=1)}, {}, {"media_list_assets"}) == []


def test_faults_of_the_scenarios_are_faults() -> None:
    figures = Figures(60, (REFERENCE_ROW,), errors={"KeyError: 'items'": 3})
    assert judge(figures, {}, {}, ()) == ["KeyError: 'items' (3 times)"]


@pytest.mark.parametrize(
    "rows", [(), (replace(REFERENCE_ROW, count=0, p50=None, failures={}),), (LIST_ROW,)]
)
def test_a_run_without_an_answered_reference_is_no_run(rows: tuple[Row, ...]) -> None:
    assert judge(Figures(60, rows, errors={}), {}, {}, ()) == [
        "the reference was never answered, so no time can be judged"
    ]


def test_budgets_and_baselines_are_read(tmp_path: Path) -> None:
    budgets = tmp_path / "budgets.toml"
    budgets.write_text("[operations]\nmedia_list_assets = { statements = 2, p50 = 4 }\n")
    assert read_budgets(budgets) == {"media_list_assets": Budget(statements=2, p50=4)}
    baseline = tmp_path / "laptop.toml"
    baseline.write_text("[operations]\nmedia_list_assets = { p99 = 20 }\n")
    assert read_baseline(baseline) == {"media_list_assets": Baseline(p99=20)}


@pytest.mark.parametrize(
    "content",
    [
        "[operations",
        "[operation.x]\np50 = 1\n",
        "[operations.x]\np51 = 1\n",
        "[operations.x]\np50 = -1\n",
        "[operations.x]\nfailures = 2\n",
    ],
)
def test_a_file_that_means_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text(content)
    with pytest.raises(BudgetFileError, match="is no file of budgets"):
        read_budgets(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetFileError, match="cannot be read"):
        read_baseline(tmp_path / "nowhere.toml")


def test_the_budgets_of_the_repository_can_be_read() -> None:
    path = Path(__file__).parents[2] / "perf" / "budgets.toml"
    assert read_budgets(path)
