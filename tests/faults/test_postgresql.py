"""PostgreSQL killed, stopped, its connections ended and its disk filled, under load."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwnam
from threading import Event

import httpx2
import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.deadlines import until_told
from tests.faults.load import Load
from tests.installation import Installation
from tests.processes import until

TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = 'trellis' AND pid <> pg_backend_pid()"
)


def test_f09_postgresql_is_killed(site: Installation, steady_load: SteadyLoad) -> None:
    with steady_load(site):
        site.postgresql.kill()
        until_told(lambda: site.all_say(503), "unavailable")
        site.postgresql.start()


@pytest.mark.nightly
def test_f09_postgresql_is_killed_again_and_again(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load:
        for seed in range(8):
            Event().wait(random.Random(seed).uniform(0, 3))
            site.postgresql.kill()
            Event().wait(random.Random(-seed).uniform(0, 3))
            site.postgresql.start()
            load.until_recovered()


@pytest.mark.nightly
@pytest.mark.parametrize("seconds", [3, 60])
def test_f10_postgresql_is_stopped(
    site: Installation, steady_load: SteadyLoad, seconds: float
) -> None:
    with steady_load(site) as load:
        site.postgresql.stop()
        until_told(lambda: site.all_say(503), "unavailable")
        _assert_told_to_come_back(load)
        Event().wait(seconds)
        _assert_told_to_come_back(load)
        site.postgresql.start()


def _assert_told_to_come_back(load: Load) -> None:
    """Who reads and who writes is told when to come again (RFC 9110, section 10.2.3)."""
    phone = load.phones[0]
    inbox = phone.http.get("/v1/notifications/messages", headers=phone.headers)
    batch = phone.http.post("/v1/analytics/events", headers=phone.headers, json={"events": []})
    for answer in (inbox, batch):
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["code"] == "core.service_unavailable"


@pytest.mark.nightly
@pytest.mark.parametrize(("times", "pause"), [(3, 1.0), (8, 10.0)])
def test_f11_every_connection_is_terminated(
    site: Installation, steady_load: SteadyLoad, times: int, pause: float
) -> None:
    with steady_load(site) as load:
        for _ in range(times):
            (terminated,) = site.rows(TERMINATE)
            assert terminated[0]
            Event().wait(pause)
            load.until_round()


@pytest.mark.nightly
def test_f14_the_disk_of_the_database_is_full(steady_load: SteadyLoad) -> None:
    with small_disk() as disk, Installation(tablespace=disk) as site, steady_load(site) as load:
        until(lambda: filled(disk), "a full disk")
        phone = load.phones[0]

        def refused() -> bool:
            answers = [call.answers for call in load.journal.calls[-10:]]
            return any(503 in statuses for statuses in answers)

        until(refused, "a write that finds no room")
        answer = phone.http.get("/v1/notifications/messages", headers=phone.headers)
        assert answer.status_code == 200, answer.text
        for web in site.addresses.values():
            assert httpx2.get(f"{web}/health/live").status_code == 200
        (disk / "filler").unlink()


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own, for the user of the database; skips where none can be mounted."""
    with tempfile.TemporaryDirectory(prefix="trellis-disk-") as place:
        options = f"size=128m,mode=0700,uid={getpwnam('nobody').pw_uid}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small tmpfs needs root")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


def filled(disk: Path) -> bool:
    """Take every byte that is left."""
    with (disk / "filler").open("ab") as filler:
        try:
            while True:
                filler.write(b"\0" * 65536)
                filler.flush()
        except OSError:
            return True
