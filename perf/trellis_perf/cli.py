"""``trellis perf``: load a server, judge what was measured, and make people for a load."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trellis_perf.budgets import Baseline, Budget
    from trellis_perf.run import Profile, Target

_BUDGETS = Path("perf/budgets.toml")


@click.group()
def perf() -> None:
    """Load Trellis with the scenarios of its plugins, and judge what is measured."""


@perf.command()
@click.argument("profile", type=click.Choice(["smoke"]))
@click.option("--seconds", type=click.FloatRange(1), help="How long to measure.  [default: 60]")
@click.option("--users", type=click.IntRange(3), help="How many simulated users.  [default: 12]")
@click.option("--against", metavar="URL", help="A running server, instead of one of its own.")
@click.option(
    "--people",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --against: the file that `trellis perf seed` wrote for that server.",
)
@click.option(
    "--budgets",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The budgets.  [default: {_BUDGETS}, if it is there; else only failures count]",
)
@click.option(
    "--environment",
    metavar="NAME",
    help="Judge milliseconds, too, by baselines/NAME.toml beside the budgets.",
)
@click.option("--metrics-token", envvar="TRELLIS_METRICS_TOKEN", help="What /metrics asks for.")
def run(
    profile: str,
    seconds: float | None,
    users: int | None,
    against: str | None,
    people: Path | None,
    budgets: Path | None,
    environment: str | None,
    metrics_token: str | None,
) -> None:
    """Run a profile; exit code 1 when the run is not within its budgets.

    smoke: a minute of people with the app open, beside one journey after the other. The users are
    closed: each waits for its answer, thinks a moment, and asks again.
    """
    from trellis.errors import StartError
    from trellis_perf.budgets import BudgetFileError, judge
    from trellis_perf.report import print_report
    from trellis_perf.run import PROFILES
    from trellis_perf.run import run as run_profile

    if find_spec("locust") is None:
        raise StartError("Locust makes the load: pip install 'trellis-backend[perf]'.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    usual = PROFILES[profile]
    chosen = replace(usual, seconds=seconds or usual.seconds, users=users or usual.users)
    try:
        limits, baseline = _limits(budgets, environment)
    except BudgetFileError as fault:
        raise StartError(str(fault)) from fault
    with _target(against, people, metrics_token, chosen) as target:
        click.echo(f"{chosen.users} closed users for {chosen.seconds:g} s at {target.url}")
        result = run_profile(target, chosen)
    faults = judge(result.figures, limits, baseline, result.operations)
    print_report(result.figures, faults, budgets=limits, uncalled=result.uncalled)
    sys.exit(1 if faults else 0)


@perf.command()
@click.option("--users", default=40, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="Another one makes other people.")
@click.option(
    "--people",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write who they are and their password.",
)
def seed(users: int, seed: int, people: Path) -> None:
    """Make people with photographs, messages and events in the database of the settings."""
    from sqlalchemy.exc import IntegrityError

    from trellis.app import create_app
    from trellis.errors import StartError
    from trellis_perf.seed import seed_people

    try:
        made = seed_people(create_app(), users, seed)
    except IntegrityError as fault:
        raise StartError(f"The people of seed {seed} exist; choose another with --seed.") from fault
    made.write(people)
    click.echo(f"{users} people and {made.operator}, who are written to {people}")


@contextmanager
def _target(
    against: str | None, people: Path | None, metrics_token: str | None, profile: Profile
) -> Iterator[Target]:
    from trellis_perf.run import Target
    from trellis_perf.server import own_server

    if against is None:
        click.echo(f"Starting a server and seeding it with {profile.people} people")
        with own_server(profile.people) as server:
            yield Target(server.url, server.people, running=lambda: server.running)
    elif people is None:
        raise click.UsageError("--against needs --people, a file that `trellis perf seed` wrote.")
    else:
        yield Target(against.rstrip("/"), people, metrics_token)


def _limits(
    path: Path | None, environment: str | None
) -> tuple[Mapping[str, Budget], Mapping[str, Baseline]]:
    from trellis_perf.budgets import read_baseline, read_budgets

    budgets = read_budgets(path or _BUDGETS) if path or _BUDGETS.exists() else {}
    if environment is None:
        return budgets, {}
    beside = (path or _BUDGETS).parent
    return budgets, read_baseline(beside / "baselines" / f"{environment}.toml")
