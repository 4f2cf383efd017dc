"""A process full of writers and sequencers, for tests that kill, stop and restart what they need.

    python -m tests.core.feed.crowd <first number> <journal>

Writers insert entries and keep their transactions open for a random while; some roll back. What was
committed is written to the journal before the next one begins. Sequencers run all the time. Both
go on when the database is away, and end when the standard input does.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session
from tests.core.feed.notes import TYPE, NoteShared

from trellis.app import create_app
from trellis.db.clock import database_now
from trellis.entries import append
from trellis.feed.models import FeedEntry
from trellis.feed.record import FeedRecord
from trellis.feed.sequencer import sequence
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work

READER = UUID(int=1)
_WRITERS = 3
_SEQUENCERS = 1
_LONGEST_SECONDS = 0.05


class TakenBack(Exception):
    """Makes a writer roll back."""


def main(first: int, journal: Path) -> None:
    """Run until nobody holds the other end of the standard input."""
    app = create_app()
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[NoteShared] = TYPE
    ended = threading.Event()
    with journal.open("a", buffering=1) as lines:
        threads = [
            threading.Thread(target=_repeat, args=(app, ended, _writer(first + n, lines.write)))
            for n in range(_WRITERS)
        ]
        threads += [
            threading.Thread(target=_repeat, args=(app, ended, _sequence))
            for _ in range(_SEQUENCERS)
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        ended.set()
        for thread in threads:
            thread.join()


def _repeat(app: Flask, ended: threading.Event, work: Callable[[], object]) -> None:
    while not ended.is_set():
        try:
            with app.app_context():
                work()
        except Exception:  # noqa: BLE001 (the database is away, or ended our connection)
            time.sleep(0.05)


def _writer(number: int, committed: Callable[[str], object]) -> Callable[[], None]:
    def write() -> None:
        nonlocal number
        numbers = [number + _WRITERS * n for n in range(random.randint(1, 3))]
        number += _WRITERS * len(numbers)
        back = random.random() < 0.2
        time.sleep(random.uniform(0, _LONGEST_SECONDS))  # SQLite's lock is not fair
        try:
            with unit_of_work() as uow:
                records = [FeedRecord.of(NoteShared(n, READER)) for n in numbers]
                append(uow.session.connection(), records, ())
                _set_the_clock(uow.session, records)
                # Its entries have their numbers of insertion, and are not committed.
                time.sleep(random.uniform(0, _LONGEST_SECONDS))
                _raise_if(back)
        except TakenBack:
            return
        committed("".join(f"{n}\n" for n in numbers))

    return write


def _sequence() -> None:
    sequence()
    time.sleep(random.uniform(0, 0.02))


def _raise_if(back: bool) -> None:
    if back:
        raise TakenBack


def _set_the_clock(session: Session, records: Sequence[FeedRecord]) -> None:
    """Have the entries made as if the database's clock had been set before: up to ten days off."""
    made = database_now(random.uniform(-1, 1) * 864_000)
    written = FeedEntry.event_id.in_([record.event_id for record in records])
    session.execute(update(FeedEntry).where(written).values(created_at=made))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
