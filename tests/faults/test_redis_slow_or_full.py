"""Redis slow, full and forgetful, under load: it helps less, and nothing depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from threading import Event

import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.load import Load
from tests.faults.test_redis_away import TAKEN, TRUTH_SECONDS
from tests.installation import Installation
from tests.processes import until

pytestmark = pytest.mark.nightly  # minutes together: a whole installation for each row

ROUND_TRIP_SECONDS = 0.4


def durations(load: Load, since: float) -> list[float]:
    """Seconds that calls took which began since a time and were acknowledged."""
    calls = load.journal.calls
    return [call.ended - call.began for call in calls if call.ended and call.began >= since]


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.nightly)])
def test_f07_redis_is_slow(site: Installation, steady_load: SteadyLoad, seconds: float) -> None:
    with steady_load(site) as load:
        load.until_round()
        quick = median(durations(load, 0.0))
        began = load.journal.calls[-1].began
        for proxy in (site.redis_of_web, site.redis_of_work):
            proxy.delay(ROUND_TRIP_SECONDS / 2, jitter=ROUND_TRIP_SECONDS / 4)
        Event().wait(seconds)
        load.until_round()
        slow = median(durations(load, began))
        for proxy in (site.redis_of_web, site.redis_of_work):
            proxy.restore()
    assert slow < quick + ROUND_TRIP_SECONDS  # most calls do not wait for it even once
    assert set(load.journal.answers()) <= TAKEN


@contextmanager
def configured(site: Installation, **parameters: str) -> Iterator[None]:
    """Have Redis run with other parameters for the block."""
    with site.redis.client() as client:
        before = {name: client.config_get(name)[name] for name in parameters}
        try:
            for name, value in parameters.items():
                client.config_set(name, value)
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


FULL = {"maxmemory-policy": "noeviction", "maxmemory": "1"}


def test_f08_redis_is_full(site: Installation, steady_load: SteadyLoad) -> None:
    with steady_load(site) as load, configured(site, **FULL):
        until(lambda: site.all_say(200, "degraded"), "degraded", TRUTH_SECONDS)
        load.until_round()
    assert set(load.journal.answers()) <= TAKEN


def test_f08_redis_throws_away_what_it_likes(site: Installation, steady_load: SteadyLoad) -> None:
    with site.redis.client() as client, steady_load(site) as load:
        evicted = client.info("stats")["evicted_keys"]
        least = client.info("memory")["used_memory"] - 64 * 1024
        with configured(site, **{"maxmemory-policy": "allkeys-random", "maxmemory": str(least)}):
            load.until_round()
            until(lambda: client.info("stats")["evicted_keys"] > evicted + 20, "evicted keys")
            load.until_round()
    assert set(load.journal.answers()) <= TAKEN
