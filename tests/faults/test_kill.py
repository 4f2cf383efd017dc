"""Killing what runs, without a warning: nothing accepted is lost, and nothing happens twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Event

import pytest
from PIL import Image
from tests.faults.told_once import assert_told_once
from tests.phones import Phones, slow_picture
from tests.processes import PATIENCE, Trellis, until

from trellis_demo.operator import Operator
from trellis_demo.phone import Phone, analytics_events

READY = "media.asset_ready/1"


def test_a_photo_survives_the_end_of_every_process_before_it_was_looked_at(
    trellis: Trellis, phones: Phones
) -> None:
    trellis.start()
    ada = phones.signed_in()
    ada.register_for_push()
    with ada.open_stream() as stream:
        cursor = stream.last_id
    os.kill(trellis.worker("heavy"), signal.SIGSTOP)  # so that nobody looks at it
    asset = ada.upload()
    assert ada.asset(asset["id"])["state"] == "processing"

    trellis.kill()
    assert trellis.pids() == []
    trellis.start()

    assert_told_once(trellis, ada, [asset["id"]])
    with ada.open_stream(cursor) as stream:
        assert stream.wait_for(READY, PATIENCE).data["resource_id"] == asset["id"]


@pytest.mark.nightly
def test_a_photo_becomes_ready_once_whatever_is_killed_while_it_is_decoded(
    trellis: Trellis, phones: Phones
) -> None:
    trellis.start()
    ada = phones.signed_in()
    ada.register_for_push()
    picture = slow_picture()
    asset_ids = []

    for victim in ("the decoder", "the process of the job", "the worker"):
        asset_ids.append(ada.upload(picture, "slow.png")["id"])
        decoder, job = trellis.stop_a_decoder()
        worker = trellis.worker("heavy")
        os.kill({"the decoder": decoder, "the worker": worker}.get(victim, job), signal.SIGKILL)
        if victim == "the process of the job":
            os.kill(decoder, signal.SIGCONT)  # it ends by itself: nobody reads its answer
        trellis.until_ended(decoder)

    assert_told_once(trellis, ada, asset_ids)
    attempts = trellis.rows("SELECT fence FROM core_outbox WHERE task = 'media.make_renditions'")
    assert sum(fence for (fence,) in attempts) >= len(asset_ids) + 3
    assert "exit_code=-9" in trellis.output


@pytest.mark.nightly
def test_the_broker_ends_twice_under_load_and_begins_empty(
    trellis: Trellis, phones: Phones
) -> None:
    trellis.start()
    people = [phones.signed_in(f"Phone {number}") for number in range(3)]
    for phone in people:
        phone.register_for_push()
    operator = Operator(trellis.url, *trellis.operator)
    phones.callback(operator.http.close)
    journal: dict[Phone, list[str]] = {phone: [] for phone in people}
    tracked: list[int] = []
    enough = Event()

    def live(phone: Phone) -> None:
        """Every call is answered as ever; what was answered stands in the journal."""
        picture = small_picture()
        while not enough.is_set():
            journal[phone].append(phone.upload(picture, "small.jpg")["id"])
            for _ in range(10):
                tracked.append(phone.track(analytics_events("app_opened"))["accepted"])
                phone.inbox(unread=True)

    def until_more() -> None:
        goal = len(tracked) + 40
        until(lambda: len(tracked) >= goal, "some load")

    def kill_the_broker() -> None:
        before = until(trellis.broker_pid, "a broker")
        os.kill(before, signal.SIGKILL)
        until(lambda: trellis.broker_pid() not in (None, before), "another broker")

    with ThreadPoolExecutor(len(people)) as pool:
        lives = [pool.submit(live, phone) for phone in people]
        try:
            until_more()
            kill_the_broker()
            until_more()
            kill_the_broker()
            until_more()
        finally:
            enough.set()
        for one in lives:
            one.result()

    for phone, asset_ids in journal.items():
        assert_told_once(trellis, phone, asset_ids)
    assert operator.event_count("app_opened") == sum(tracked) == len(tracked)


def test_a_start_waits_for_the_end_of_what_a_killed_supervisor_has_left(
    trellis: Trellis, phones: Phones
) -> None:
    trellis.start()
    ada = phones.signed_in()
    for pid in trellis.pids("trellis front"):
        os.kill(pid, signal.SIGSTOP)  # it keeps the port until somebody kills it

    trellis.kill_the_supervisor()
    trellis.start()

    ada.until_ready(ada.upload()["id"], PATIENCE)


def test_a_first_start_that_was_cut_short_is_made_good(trellis: Trellis, phones: Phones) -> None:
    trellis.begin()
    until((trellis.data / "trellis.db-wal").exists, "the first migration")
    trellis.kill()
    trellis.start()

    assert phones.signed_in().sessions()
    phones.callback(Operator(trellis.url, *trellis.operator).http.close)


@pytest.mark.nightly
def test_a_first_start_is_made_good_whenever_it_was_cut_short(
    trellis: Trellis, phones: Phones
) -> None:
    for seed in range(12):
        shutil.rmtree(trellis.data, ignore_errors=True)
        trellis.begin()
        Event().wait(random.Random(seed).uniform(0, 6))
        trellis.kill()
        trellis.start()
        phones.callback(Operator(trellis.url, *trellis.operator).http.close)
        trellis.kill()


@pytest.mark.nightly
def test_a_photo_survives_the_end_of_every_process_at_any_moment(
    trellis: Trellis, phones: Phones
) -> None:
    trellis.start()
    ada = phones.signed_in()
    ada.register_for_push()
    asset_ids = []
    for seed in range(12):
        asset_ids += [ada.upload(name=f"{seed}-{number}.jpg")["id"] for number in range(2)]
        Event().wait(random.Random(seed).uniform(0, 2))
        trellis.kill()
        trellis.start()
    assert_told_once(trellis, ada, asset_ids)


def small_picture() -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").save(file, "JPEG")
    return file.getvalue()
