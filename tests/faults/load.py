"""The steady mixed load under which every fault happens, by phones that keep a journal."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from typing import Self

from PIL import Image
from tests.faults.deadlines import RECOVERY_SECONDS, stretched, until_recovered
from tests.installation import Installation
from tests.journal import Journal
from tests.patient import PatientPhone
from tests.processes import PATIENCE, until

_PEOPLE = 3
_BREATH = 0.03  # between two calls: phones are many and slow, and the machine has two cores


class Load:
    """As a context manager it runs for the block; when the block ends, nothing is under way."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.journal = Journal()
        self.phones = [
            PatientPhone(installation, self.journal, f"person{number}") for number in range(_PEOPLE)
        ]
        self.began = time.monotonic()
        self._enough = threading.Event()
        self._rounds = dict.fromkeys(self.phones, 0.0)
        """When the latest round of each phone that is complete began."""
        self._pool = ThreadPoolExecutor(_PEOPLE)
        self._lives: list[Future[None]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self._pool.shutdown)
        for phone in self.phones:
            self._stack.callback(phone.leave)
        try:
            list(self._pool.map(PatientPhone.join, self.phones))
            self._lives = [
                self._pool.submit(self._live, phone, number)
                for number, phone in enumerate(self.phones)
            ]
            self.until_round()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._stack.close()

    def rest(self) -> None:
        """Let every call come to its end and begin no other; streams are still followed."""
        self._enough.set()
        for life in self._lives:
            life.result(2 * PATIENCE)

    def until_round(self, within: float = PATIENCE) -> float:
        """Wait until every phone has done all that it does, from now on; in seconds."""
        began = time.monotonic()

        def done() -> bool:
            for life in self._lives:
                if life.done():
                    life.result()
            return all(started >= began for started in self._rounds.values())

        until(done, "a whole round of every phone", within)
        return time.monotonic() - began

    def until_recovered(self) -> float:
        """Wait for full service, as every process and every phone sees it; in seconds."""
        began = time.monotonic()
        until_recovered(self.installation.healthy, "every process healthy")
        self.until_round(stretched(RECOVERY_SECONDS) - (time.monotonic() - began))
        return time.monotonic() - began

    def _live(self, phone: PatientPhone, number: int) -> None:
        turn = number
        while not self._enough.is_set():
            began = time.monotonic()
            # One at a time: each costs the machine a good part of a second, and work that piles up
            # under load says nothing of how soon a fault is over.
            if len(phone.ready()) == len(phone.uploads):
                phone.send_picture(picture(number * 1000 + turn))
                self._breathe()
            for _ in range(2):
                phone.send_events("app_opened", "screen_seen", "button_pressed")
                self._breathe()
                phone.look_at_inbox()
                self._breathe()
            for step in (phone.change_push_token, phone.refresh, phone.sessions):
                step()
                self._breathe()
            if turn % 5 == 0:
                phone.sign_in()
            self._rounds[phone] = began
            turn += 1

    def _breathe(self) -> None:
        self._enough.wait(_BREATH)


def picture(number: int) -> bytes:
    """A small one that differs from all others."""
    file = BytesIO()
    color = (number % 256, number // 256 % 256, 128)
    Image.new("RGB", (64, 48), color).save(file, "JPEG", comment=str(number).encode())
    return file.getvalue()
