"""Workers that cannot reach what web processes can, and the reverse (row 29)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Event

import httpx2
import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.deadlines import TRUTH_SECONDS, stretched, until_told
from tests.faults.load import Load, picture
from tests.installation import Installation
from tests.processes import until


def test_f29_workers_are_cut_off_from_the_database(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load:
        site.database_of_work.refuse()
        asset_ids = {phone.send_picture(picture(-1)) for phone in load.phones}
        load.until_round()
        load.until_round()
        assert site.healthy()  # for web processes nothing is amiss
        waiting = site.rows("SELECT id FROM media_asset WHERE state = 'processing'")
        assert {str(id_) for (id_,) in waiting} >= asset_ids
        site.database_of_work.restore()


@pytest.mark.nightly
def test_f29_web_processes_are_cut_off_from_the_database(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site):
        site.database_of_web.refuse()
        until_told(lambda: site.all_say(503), "unavailable")
        # Workers go on: what was enqueued before is done meanwhile.
        until(lambda: not site.undone(), "all work done")
        site.database_of_web.restore()


@contextmanager
def swallowed(site: Installation) -> Iterator[None]:
    """Packets between web processes and the database go nowhere; connections stay open."""
    site.database_of_web.blackhole()
    try:
        yield
    finally:
        site.database_of_web.restore()


@contextmanager
def stopped(site: Installation) -> Iterator[None]:
    """The kernel takes what is sent to the database, whose processes are stopped."""
    with site.postgresql.silent():
        yield


@pytest.mark.parametrize(
    ("silence", "seconds"),
    [
        (stopped, 0),
        (stopped, 60),
        (swallowed, 15),
    ],
)
@pytest.mark.nightly
def test_f29_the_database_is_silent(
    site: Installation,
    steady_load: SteadyLoad,
    silence: Callable[[Installation], AbstractContextManager[None]],
    seconds: float,
) -> None:
    with steady_load(site) as load, silence(site):
        # Every thread of every web process has asked it, and all are back to say so.
        until_told(lambda: site.all_say(503), "unavailable")
        assert_told_to_come_back(load)
        Event().wait(seconds)
        assert site.all_say(503)
        assert_told_to_come_back(load)


def assert_told_to_come_back(load: Load) -> None:
    """More callers at once than two processes have threads are all told within a few seconds."""
    phone = load.phones[0]

    def ask(number: int) -> httpx2.Response:
        path = "/v1/notifications/messages" if number % 2 else "/v1/auth/sessions"
        return phone.http.get(path, headers=phone.headers, timeout=stretched(TRUTH_SECONDS))

    with ThreadPoolExecutor(12) as pool:
        for answer in pool.map(ask, range(24)):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
