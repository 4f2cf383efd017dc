"""Keeps the leases of rows that are being run, and ends the process when a run does not end."""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from trellis.db.engine import SQLITE_BUSY_SECONDS
from trellis.jobs import limits
from trellis.outbox.lease import LEASE_SECONDS, Claim, renew
from trellis.runtime import runtime

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0


@contextmanager
def kept(claims: Sequence[Claim]) -> Iterator[dict[UUID, Claim]]:
    """Renew the leases of the rows that are left in the given dict, from a thread of its own."""
    unfinished = {held.id: held for held in claims}
    ended = threading.Event()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    silence = max(limits.silence(runtime().tasks[held.task].options.time_limit) for held in claims)
    thread = threading.Thread(target=_keep, args=(app, unfinished, ended, silence), daemon=True)
    _arm(silence)
    thread.start()
    try:
        yield unfinished
    finally:
        ended.set()
        thread.join()
        faulthandler.cancel_dump_traceback_later()


def _keep(
    app: Flask, unfinished: dict[UUID, Claim], ended: threading.Event, silence: float
) -> None:
    renewed = time.monotonic()
    while not ended.wait(_TICK_SECONDS):
        _arm(silence)
        if limits.overdue():
            _end_process()
        if time.monotonic() - renewed >= LEASE_SECONDS / 3:
            # On SQLite it waits for whoever writes, the task itself included; and then nobody else
            # can take the rows.
            _arm(silence + SQLITE_BUSY_SECONDS)
            with app.app_context():
                _renew(list(unfinished.values()))
            _arm(silence)
            renewed = time.monotonic()


def _renew(claims: Sequence[Claim]) -> None:
    try:
        renew(claims)
    except SQLAlchemyError as error:
        log.warning("leases_not_renewed", count=len(claims), error=type(error).__name__)
    except Exception:
        log.exception("leases_not_renewed", count=len(claims))


def _arm(seconds: float) -> None:
    """Have C code end the process should no Python run for so long: the interpreter is held."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


def _end_process() -> None:
    """The row comes back when its lease runs out, or when the parent has seen the end."""
    log.error("task_overdue", remedy="the process ends itself; where it hangs is written below")
    faulthandler.dump_traceback(file=2)
    os._exit(limits.OVERDUE)
