"""Ctrl-C ends all that was started, soon, and loses nothing that was accepted."""

from __future__ import annotations

import time
from statistics import median

import pytest
from tests.faults.told_once import assert_told_once
from tests.phones import Phones, user_id
from tests.processes import PATIENCE, Trellis

from trellis_demo.operator import Operator

UNDONE = "SELECT id FROM core_outbox WHERE task = 'media.make_renditions' AND done_at IS NULL"


def test_the_next_start_finds_everything_and_runs_what_was_queued(
    trellis: Trellis, phones: Phones
) -> None:
    trellis.start()
    operator = trellis.operator
    ada = phones.signed_in()
    ada_id = user_id(ada)
    ada.register_for_push()
    with ada.open_stream() as stream:
        asset_ids = [ada.upload(name=f"{number}.jpg")["id"] for number in range(8)]

        assert trellis.interrupt() < 15
        stream.wait_for_end(PATIENCE)  # in good order: one that is cut off fails the test
    assert trellis.rows(UNDONE)

    trellis.start()
    assert_told_once(trellis, ada, asset_ids)
    assert user_id(ada) == ada_id  # by the token of the first start: its key is kept
    ada.refresh()
    assert trellis.operator == operator
    phones.callback(Operator(trellis.url, *operator).http.close)
    assert len(trellis.rows("SELECT id FROM auth_user WHERE role = 'operator'")) == 1


@pytest.mark.nightly
def test_the_end_takes_less_than_a_third_of_the_start(trellis: Trellis, phones: Phones) -> None:
    """With work under way. Where nothing else runs, a start takes some seconds; so the end is soon.

    Each end is beside a start: what else the machine does, both wait for.
    """
    asset_ids: list[str] = []
    starts, ends = [], []
    trellis.start()  # this one prepares the database
    ada = phones.signed_in()
    ada.register_for_push()
    for _ in range(5):
        with ada.open_stream():
            asset_ids += [ada.upload()["id"] for _ in range(10)]
            ends.append(trellis.interrupt())
        began = time.monotonic()
        trellis.start()
        starts.append(time.monotonic() - began)
    assert median(ends) < median(starts) / 3, (ends, starts)
    assert_told_once(trellis, ada, asset_ids)
