"""Stream processes that end and start while people write: whoever comes back misses nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from tests.core.stream.follower import Wanderer
from tests.core.stream.rig import Rig
from tests.processes import PATIENCE, until

from trellis.feed.sequencer import sequence

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


class Writing:
    """Notes for one person, numbered from 0, for as long as the block lasts."""

    def __init__(self, rig: Rig, reader: UUID) -> None:
        self._rig, self._reader = rig, reader
        self.written = 0

    def write(self) -> None:
        """The next two, which stand in one commit."""
        self._rig.write(self._reader, self.written, self.written + 1)
        self.written += 2


@contextmanager
def repeated(*works: Callable[[], object]) -> Iterator[None]:
    """Each in a thread of its own, again and again while the block lasts."""
    enough = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not enough.wait(0.01):
            work()

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join(PATIENCE)


def wander_through(rig: Rig, restarts: list[signal.Signals]) -> None:
    """Phones of two people, writers for each, and a sequencer that announces nothing."""

    def sequence_in_silence() -> None:
        with rig.app.app_context():
            sequence()

    people = [rig.person() for _ in range(2)]
    writings = [Writing(rig, reader) for reader, _ in people]
    phones = [(Wanderer(rig.urls, token), n) for n, (_, token) in enumerate(people) for _ in "ab"]
    try:
        with repeated(sequence_in_silence, *(writing.write for writing in writings)):
            for how in [*restarts, None]:
                for phone, n in phones:
                    goal = writings[n].written
                    until(lambda: max(phone.numbers, default=-1) >= goal, "news")  # noqa: B023
                if how is not None:
                    rig.restart_at_once(how)
        for phone, n in phones:
            last = writings[n].written - 1
            until(lambda: last in phone.numbers, f"number {last}")  # noqa: B023
            # What was being told when its connection ended may come twice.
            assert list(dict.fromkeys(phone.numbers)) == list(range(last + 1))
    finally:
        for phone, _ in phones:
            phone.close()
        until(lambda: rig.first.ready() and rig.second.ready(), "two stream processes")


def test_g02_sigterm_amid_news_ends_streams_in_good_order_and_they_go_on_elsewhere(
    rig: Rig,
) -> None:
    ada, token = rig.person()
    writing = Writing(rig, ada)
    followers = [rig.follow(rig.first, token, 0) for _ in range(3)]
    with repeated(writing.write):
        for follower in followers:
            follower.until_number(1)
        assert rig.first.stop() == 0
        for follower in followers:
            follower.until_ended()
            assert not follower.broken
        elsewhere = [rig.follow(rig.second, token, each.cursor) for each in followers]
    last = writing.written - 1
    for before, after in zip(followers, elsewhere, strict=True):
        after.until_number(last)
        assert before.numbers + after.numbers == list(range(last + 1))
    rig.first = rig.start()
    until(rig.first.ready, "another process")


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGTERM, marks=pytest.mark.nightly), signal.SIGKILL],
    ids=lambda how: how.name,
)
def test_g02_all_processes_start_anew_at_once(rig: Rig, how: signal.Signals) -> None:
    wander_through(rig, [how])


@pytest.mark.nightly
def test_g02_all_processes_start_anew_at_once_again_and_again(rig: Rig) -> None:
    wander_through(rig, [signal.SIGTERM, signal.SIGKILL] * 5)
