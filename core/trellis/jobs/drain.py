"""What a wake-up makes a worker do: claim rows, hold their leases, run them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from flask import Flask, current_app

from trellis.feed.sequencer import sequence
from trellis.jobs.run import run
from trellis.jobs.wake import LIGHT_KEY, wake_feed, wake_light
from trellis.outbox.lease import LEASE_SECONDS, Claim, claim, release, renew
from trellis.outbox.models import OutboxRow
from trellis.runtime import runtime

log = structlog.get_logger(__name__)

_BATCH = 16
# A drain ends after this time and wakes the next one, so that a worker recycles and stops in time.
_DRAIN_SECONDS = 20.0

stopping = threading.Event()
"""Set when the worker was asked to stop: no further row is begun."""


def drain() -> None:
    """Run every light row that is due."""
    # First, so that a row committed from now on wakes a worker again.
    runtime().redis.delete(LIGHT_KEY)
    until = time.monotonic() + _DRAIN_SECONDS
    while not stopping.is_set():
        if time.monotonic() > until:
            wake_light()
            break
        new = claim("light", _BATCH, OutboxRow.fence == 0)
        # No more than one, and last: it may be what ended the process of the rows around it.
        tried = claim("light", 1, OutboxRow.fence > 0)
        if not new and not tried:
            break
        if len(new) == _BATCH:
            wake_light()
        _run_all([*new, *tried])
    _announce_feed()


def run_heavy(row_id: str) -> None:
    """Run one heavy row, unless it is done or somebody else runs it."""
    _run_all(claim("heavy", 1, OutboxRow.id == UUID(row_id)))
    _announce_feed()


WAKE_UPS: dict[str, Callable[..., None]] = {"drain": drain, "run": run_heavy}


def _run_all(claims: list[Claim]) -> None:
    with _leases_kept(claims) as unfinished:
        for held in claims:
            if stopping.is_set():
                release(held)
            else:
                run(held)
            del unfinished[held.id]


def _announce_feed() -> None:
    """Tasks publish events: give them their place at once, not at the next sweep."""
    if sequence():
        wake_feed()


@contextmanager
def _leases_kept(claims: list[Claim]) -> Iterator[dict[UUID, Claim]]:
    """Renew the leases of the rows that are left in the given dict, from a thread of its own."""
    unfinished = {held.id: held for held in claims}
    ended = threading.Event()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    def keep() -> None:
        while not ended.wait(LEASE_SECONDS / 3):
            with app.app_context():
                try:
                    renew(list(unfinished.values()))
                except Exception:
                    log.exception("lease_not_renewed")

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield unfinished
    finally:
        ended.set()
        thread.join()
