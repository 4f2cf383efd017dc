"""Workers that cannot reach what web processes can, and the reverse (row 29)."""

from __future__ import annotations

from threading import Event

import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.deadlines import until_told
from tests.faults.load import picture
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


@pytest.mark.nightly
def test_f29_the_database_is_silent(site: Installation, steady_load: SteadyLoad) -> None:
    """Connections stay open and nothing comes: longer than phones wait for an answer."""
    with steady_load(site):
        site.database_of_web.blackhole()
        until_told(lambda: not any(site.health(web)[0] == 200 for web in site.addresses), "unwell")
        Event().wait(15)
        site.database_of_web.restore()
