"""One run: the load in a process of its own, between two looks at the service's own figures."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from trellis.errors import StartError
from trellis.local import sessions
from trellis_perf.figures import Figures, Served, read_figures, read_metrics, statements_of
from trellis_perf.operations import Operation, fetch_operations

_PATIENCE_SECONDS = 60.0
"""For what a load takes beside its own time: start, and the end of tasks that have begun."""


@dataclass(frozen=True)
class Profile:
    """A kind of run: so many simulated users for so long, after a warm-up that does not count."""

    users: int
    seconds: float
    warm_up: float
    people: int
    """How many accounts an own server is seeded with."""


PROFILES = {"smoke": Profile(users=12, seconds=60, warm_up=5, people=20)}


@dataclass(frozen=True)
class Target:
    """Where the load goes, and what is needed to look inside."""

    url: str
    people: Path
    metrics_token: str | None = None
    running: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Result:
    """What a run measured, and what the server offers.

    ``uncalled`` are the operations that no scenario called.
    """

    figures: Figures
    operations: Mapping[str, Operation]
    uncalled: frozenset[str]


def run(target: Target, profile: Profile) -> Result:
    """Load the target. Raises StartError when there is nothing to load, or no load came about."""
    try:
        operations = fetch_operations(target.url)
    except (OSError, ValueError) as fault:
        raise StartError(f"No Trellis answers at {target.url} ({fault}).") from fault
    before = _metrics(target)
    with tempfile.TemporaryDirectory(prefix="trellis-perf-") as directory:
        path = Path(directory, "figures.json")
        _generate(target, profile, path)
        statements = statements_of(operations.values(), before, _metrics(target))
        figures = read_figures(path, statements)
    if not target.running():
        figures = replace(figures, errors={**figures.errors, "the server ended in mid-run": 1})
    called = {row.name.partition(" ")[0] for row in figures.rows} | statements.keys()
    return Result(figures, operations, frozenset(operations.keys() - called))


def _generate(target: Target, profile: Profile, figures: Path) -> None:
    arguments = {
        "--host": target.url,
        "--people": target.people.absolute(),
        "--figures": figures,
        "--users": profile.users,
        "--seconds": profile.seconds,
        "--warm-up": profile.warm_up,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    log = figures.with_name("log")
    with closing(sessions.Guard()) as guard, log.open("wb") as file:
        process = sessions.spawn(
            [sys.executable, "-m", "trellis_perf.load", *words], stdout=file.fileno()
        )
        guard.watch(process.pid)
        try:
            _watch(process, target, profile)
        finally:
            sessions.end(process, _PATIENCE_SECONDS)
            guard.forget(process.pid)
    sys.stderr.write(log.read_text(errors="replace"))
    if not figures.exists():
        raise StartError("The load generator has failed; its own words are above.")


def _watch(process: subprocess.Popen[bytes], target: Target, profile: Profile) -> None:
    """Until it has ended, or there is nothing left to load, or it takes far too long."""
    deadline = time.monotonic() + profile.warm_up + profile.seconds + _PATIENCE_SECONDS
    while target.running() and time.monotonic() < deadline:
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        return


def _metrics(target: Target) -> dict[str, Served]:
    """The service's own counts; none where they are not shown, or nobody answers any more."""
    request = urllib.request.Request(f"{target.url}/metrics")  # noqa: S310 (an address that the user gives)
    if target.metrics_token:
        request.add_header("Authorization", f"Bearer {target.metrics_token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return read_metrics(response.read().decode())
    except (urllib.error.URLError, OSError):
        return {}
