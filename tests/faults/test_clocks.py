"""Clocks that are off, drift and are set back, under load (rows 20 and 21)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from threading import Event

import httpx2
import pytest
from tests.faults.clocks import off_by, settable
from tests.faults.conftest import SteadyLoad
from tests.installation import Installation
from tests.processes import free_port, until

pytestmark = pytest.mark.nightly  # minutes together: a whole installation for each row

TRUTH_SECONDS = 5.0
"""Within this time health tells of a fault."""

SCHEDULED = (
    "SELECT unique_key, clock_timestamp() FROM core_outbox WHERE unique_key LIKE '%@____-__-__T%'"
)


def assert_none_ahead(site: Installation) -> None:
    """Nothing was scheduled for a time that has not come; what was, was once: the key is unique."""
    scheduled = site.rows(SCHEDULED)
    assert scheduled
    assert [key for key, now in scheduled if key.rpartition("@")[2] > now.isoformat()] == []


@contextmanager
def work_by(site: Installation, light: str, heavy: str, scheduler: str) -> Iterator[None]:
    """Have all work done by processes whose clocks are off."""
    usual = (site.light, site.heavy, site.scheduler)
    site.supervisor.stop(*usual)
    with ExitStack() as stack:
        for name, offset, *command in (
            ("light-off", light, "worker", "light"),
            ("heavy-off", heavy, "worker", "heavy"),
            ("scheduler-off", scheduler, "scheduler"),
        ):
            stack.enter_context(site.another(name, *command, **off_by(offset)))
        yield
    site.supervisor.start(*usual)


OFF = [
    ("+1h", "-1h", "+1h"),
    pytest.param("-1h", "+1h", "-1h", marks=pytest.mark.nightly),
    pytest.param("+0 x1.1", "+0 x0.9", "+0 x1.1", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("light", "heavy", "scheduler"), OFF)
def test_f20_clocks_of_workers_and_schedulers_are_off(
    site: Installation, steady_load: SteadyLoad, light: str, heavy: str, scheduler: str
) -> None:
    with steady_load(site) as load, work_by(site, light, heavy, scheduler):
        ready = {phone: len(phone.ready()) for phone in load.phones}
        load.until_round()
        until(lambda: all(len(phone.ready()) > n for phone, n in ready.items()), "their work done")
    assert_none_ahead(site)


@pytest.mark.parametrize("offset", ["+1h", pytest.param("-1h", marks=pytest.mark.nightly)])
def test_f20_a_web_process_whose_clock_is_off_is_not_ready(site: Installation, offset: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def refused() -> bool:
        try:
            answer = httpx2.get(f"{url}/health/ready", timeout=5)
        except httpx2.TransportError:
            return False
        told = answer.json()
        return answer.status_code == 503 and told["checks"]["clock"] == "failed"

    with site.another("web-off", "web", TRELLIS_PORT=str(port), **off_by(offset)):
        until(refused, "not ready")


@pytest.mark.nightly
def test_f21_all_clocks_are_set_back(
    steady_load: SteadyLoad, monkeypatch: pytest.MonkeyPatch
) -> None:
    with settable() as (environ, clock):
        clock.write_text("+1h\n")
        for name, value in environ.items():  # for PostgreSQL and Redis, too
            monkeypatch.setenv(name, value)
        with Installation() as site, steady_load(site) as load:
            load.until_round()
            began = site.rows("SELECT clock_timestamp()")[0][0]
            clock.write_text("+0\n")
            until(
                lambda: site.rows("SELECT clock_timestamp()")[0][0] < began - timedelta(minutes=50),
                "clocks that are set back",
            )
            Event().wait(TRUTH_SECONDS)
            load.until_round()
