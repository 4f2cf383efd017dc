"""Several processes from one start: the application is loaded once, then forked.

They share its memory and start in a moment, where each would otherwise import everything again.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

import structlog
from flask import Flask

from trellis.db.base import db
from trellis.jobs.flight import Flight, account_for, process
from trellis.parent import end_with_parent

log = structlog.get_logger(__name__)

_ENDS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class _Child:
    name: str
    flight: Flight


def run_forked(app: Flask, runs: Mapping[str, Callable[[], None]]) -> int:
    """Run each in a process of its own until one of them fails or SIGTERM or SIGINT comes.

    Then the others get SIGTERM and are waited for. One that returns makes room for a fresh one.
    Returns 0 for an end that was asked for, else 1: whoever supervises this process starts all of
    them again.
    """
    children: dict[int, _Child] = {}
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        _terminate(children)

    for number in _ENDS:
        signal.signal(number, stop)
    for name in runs:
        _start(app, name, runs, children)
    if asked:  # while they were being started
        _terminate(children)
    while children:
        pid, status = os.wait()
        child = children.pop(pid, None)
        if child is None:
            continue
        code = os.waitstatus_to_exitcode(status)
        account_for(app, child.flight, code)
        if asked:
            continue
        if code == 0:
            _start(app, child.name, runs, children)
            if asked:  # while it was being started
                _terminate(children)
        else:
            log.error("process_ended", process=child.name, exit_code=code)
            asked.append(0)
            _terminate(children)
    return 0 if asked[0] else 1


def _start(
    app: Flask, name: str, runs: Mapping[str, Callable[[], None]], children: dict[int, _Child]
) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    child = _Child(name, Flight())
    # The parent's handler, in a child that is not prepared yet, would take what should end it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    pid = os.fork()
    if pid:
        children[pid] = child
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        return
    code = 1
    try:
        _prepare(app)
        process.flight = child.flight
        runs[name]()
        code = 0
    except BaseException:
        log.exception("process_failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _prepare(app: Flask) -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_DFL)  # the parent's would end our siblings
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    end_with_parent(signal.SIGTERM)
    with app.app_context():
        db.engine.dispose(close=False)  # connections are the parent's


def _terminate(children: Mapping[int, _Child]) -> None:
    for pid in children:
        with suppress(ProcessLookupError):  # it has ended, and its entry is about to go
            os.kill(pid, signal.SIGTERM)
