"""Ctrl-C ends all that was started, soon, and loses nothing that was accepted."""

from __future__ import annotations

import pytest
from tests.faults.told_once import assert_told_once
from tests.phones import Phones, user_id
from tests.processes import PATIENCE, Trellis

UNDONE = "SELECT id FROM core_outbox WHERE task = 'media.make_renditions' AND done_at IS NULL"


def test_queued_work_runs_at_the_next_start(trellis: Trellis, phones: Phones) -> None:
    trellis.start()
    ada = phones.signed_in()
    ada.register_for_push()
    with ada.open_stream() as stream:
        asset_ids = [ada.upload(name=f"{number}.jpg")["id"] for number in range(8)]

        assert trellis.interrupt() < 15
        stream.wait_for_end(PATIENCE)  # in good order: one that is cut off fails the test
    assert trellis.rows(UNDONE)

    trellis.start()
    assert_told_once(trellis, ada, asset_ids)


def test_a_second_start_finds_what_the_first_left(trellis: Trellis, phones: Phones) -> None:
    trellis.start()
    operator = trellis.operator
    ada = phones.signed_in()
    ada_id = user_id(ada)
    asset = ada.until_ready(ada.upload()["id"], PATIENCE)
    trellis.interrupt()

    trellis.start()

    assert trellis.operator == operator
    assert user_id(ada) == ada_id  # by the token of the first start: its key is kept
    assert ada.asset(asset["id"]) == asset
    ada.refresh()
    assert len(trellis.rows("SELECT id FROM auth_user WHERE role = 'operator'")) == 1


@pytest.mark.nightly
def test_the_end_takes_less_than_five_seconds(trellis: Trellis, phones: Phones) -> None:
    asset_ids: list[str] = []
    trellis.start()
    ada = phones.signed_in()
    ada.register_for_push()
    for _ in range(5):
        with ada.open_stream():
            asset_ids += [ada.upload()["id"] for _ in range(10)]
            assert trellis.interrupt() < 5
        trellis.start()
    assert_told_once(trellis, ada, asset_ids)
