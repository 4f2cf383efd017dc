"""Redis killed, refused and silent, under load: writes are kept, and their work runs later."""

from __future__ import annotations

import signal
from threading import Event

import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.deadlines import until_recovered
from tests.installation import Installation
from tests.processes import until

TRUTH_SECONDS = 5.0
"""Within this time health tells of a fault."""

TAKEN = {200, 201, 202, 204}


def registered(site: Installation) -> set[int]:
    """The processes that RQ's own tools list as workers."""
    with site.redis.client() as client:
        return {int(client.hget(name, "pid") or 0) for name in client.smembers("rq:workers")}


def redis_loses_everything(site: Installation) -> None:
    """SIGKILL, and a new start with an empty data set."""
    site.redis.kill()
    site.redis.start()


def test_f05_redis_is_killed_and_comes_back_empty(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load:
        workers = registered(site)
        site.heavy.signal(signal.SIGSTOP)  # so that wake-ups wait in Redis when it dies
        load.until_round()
        site.redis.kill()
        until(lambda: site.all_say(200, "degraded"), "degraded", TRUTH_SECONDS)
        load.until_round()  # accepted without Redis
        site.redis.start()
        site.heavy.signal(signal.SIGCONT)
        until_recovered(lambda: registered(site) == workers, "every worker registered again")
    assert set(load.journal.answers()) <= TAKEN


@pytest.mark.nightly
def test_f05_redis_is_killed_again_and_again(site: Installation, steady_load: SteadyLoad) -> None:
    with steady_load(site) as load:
        for _ in range(10):
            redis_loses_everything(site)
            load.until_round()
    assert set(load.journal.answers()) <= TAKEN


@pytest.mark.parametrize("how", ["refuse", pytest.param("blackhole", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.nightly)])
def test_f06_redis_is_unreachable(
    site: Installation, steady_load: SteadyLoad, how: str, seconds: float
) -> None:
    with steady_load(site) as load:
        for proxy in (site.redis_of_web, site.redis_of_work):
            getattr(proxy, how)()
        until(lambda: site.all_say(200, "degraded"), "degraded", TRUTH_SECONDS)
        Event().wait(seconds)
        load.until_round()
        for proxy in (site.redis_of_web, site.redis_of_work):
            proxy.restore()
    assert set(load.journal.answers()) <= TAKEN
