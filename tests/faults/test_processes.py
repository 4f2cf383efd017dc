"""Web processes and workers killed, stopped and restarted under load (rows 1 to 4)."""

from __future__ import annotations

import random
import signal
from threading import Event
from typing import Literal

import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.load import Load
from tests.installation import Installation
from tests.processes import PATIENCE, until
from tests.proxy import Proxy
from tests.supervision import Supervised

from trellis.outbox.lease import LEASE_SECONDS

Kind = Literal["light", "heavy"]
KINDS: tuple[Kind, ...] = ("light", "heavy")
DECODER = "decoder.py"


def kill(process: Supervised) -> None:
    """SIGKILL, and wait until its supervisor has seen it."""
    ends = len(process.exit_codes)
    process.signal(signal.SIGKILL)
    until(lambda: len(process.exit_codes) > ends, f"the end of {process.name}")


def test_f01_each_web_process_is_killed(site: Installation, steady_load: SteadyLoad) -> None:
    with steady_load(site) as load:
        for web in site.webs:
            kill(web)
            load.until_round()


@pytest.mark.nightly
def test_f01_a_random_web_process_is_killed_every_3_seconds(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site):
        for seed in range(20):
            random.Random(seed).choice(site.webs).signal(signal.SIGKILL)
            Event().wait(3)


@pytest.mark.nightly
def test_f02_every_process_is_restarted_in_turn(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load:
        for process in site.processes:
            site.supervisor.stop(process)
            assert process.exit_codes[-1] == 0, process.output[-2000:]
            site.supervisor.start(process)
            until(site.healthy, "its place taken again")
            load.until_round()
    assert set(load.journal.answers()) <= {0, 200, 201, 202, 204}


# --- workers ------------------------------------------------------------------------------------


def killed_at_commit(proxy: Proxy, number: int, victim: Supervised, *, before: bool) -> Event:
    """Kill a worker as it sends its ``number``-th COMMIT from now on; the event tells that it did.

    The database gets that COMMIT, unless ``before``.
    """
    done = Event()
    commits = 0

    def is_last(data: bytes) -> bool:
        nonlocal commits
        commits += b"COMMIT" in data
        if commits < number or done.is_set():
            return False
        victim.signal(signal.SIGKILL)
        done.set()
        return True

    proxy.cut(is_last, before=before)
    return done


def _kill_at_stages(site: Installation, load: Load, kind: Kind, stages: range) -> None:
    victim = site.light if kind == "light" else site.heavy
    for stage in stages:
        for before in (True, False):
            killed = killed_at_commit(site.database_of_work, stage, victim, before=before)
            assert killed.wait(PATIENCE), f"no commit number {stage}"
            site.database_of_work.restore()
            load.until_round()


@pytest.mark.parametrize("kind", [pytest.param("light", marks=pytest.mark.nightly), "heavy"])
def test_f03_a_worker_is_killed_as_it_commits(
    site: Installation, steady_load: SteadyLoad, kind: Kind
) -> None:
    with steady_load(site) as load:
        _kill_at_stages(site, load, kind, range(2, 3))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_f03_a_worker_is_killed_at_each_of_its_commits(
    site: Installation, steady_load: SteadyLoad, kind: Kind
) -> None:
    with steady_load(site) as load:
        _kill_at_stages(site, load, kind, range(1, 11))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_f03_a_worker_is_killed_every_2_seconds(
    site: Installation, steady_load: SteadyLoad, kind: Kind
) -> None:
    with steady_load(site):
        for seed in range(15):
            Event().wait(random.Random(seed).uniform(1, 3))
            (site.light if kind == "light" else site.heavy).signal(signal.SIGKILL)


@pytest.mark.nightly
def test_f04_a_worker_that_was_stopped_past_its_lease_changes_nothing(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load, site.another("heavy2", "worker", "heavy") as second:
        before = _claimed_again(site)
        victim = until(lambda: _stopped_in_mid_task(site.heavy, second), "a picture is decoded")
        until(lambda: _claimed_again(site) - before, "its picture is taken by the other one")
        said = len(victim.output)
        victim.signal(signal.SIGCONT)
        until(lambda: _thrown_away(victim.output[said:]), "what it did is thrown away")
        load.until_round()


@pytest.mark.nightly
def test_f04_a_light_worker_is_stopped_past_its_lease(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site), site.another("light2", "worker", "light"):
        for _ in range(4):
            site.light.signal(signal.SIGSTOP)
            Event().wait(LEASE_SECONDS + 4)
            site.light.signal(signal.SIGCONT)
            Event().wait(2)


def _stopped_in_mid_task(*workers: Supervised) -> Supervised | None:
    """A worker below which a picture is being decoded; from now on it is stopped."""
    for worker in workers:
        if worker.runs(DECODER):
            worker.signal(signal.SIGSTOP)
            if worker.runs(DECODER):
                return worker
            worker.signal(signal.SIGCONT)  # just then it came to its end
    return None


def _claimed_again(site: Installation) -> set[object]:
    """Pictures whose work was taken more than once."""
    claims = "SELECT id FROM core_outbox WHERE task = 'media.make_renditions' AND fence > 1"
    return {row_id for (row_id,) in site.rows(claims)}


def _thrown_away(output: str) -> bool:
    """Whether a worker saw that its lease was lost; after 20 seconds its task ends itself."""
    return "task_lease_lost" in output or "task_crashed" in output
