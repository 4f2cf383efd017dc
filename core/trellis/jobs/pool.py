"""Several processes from one start: the application is loaded once, then forked.

They share its memory and start in a moment, where each would otherwise import everything again.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType

import structlog
from flask import Flask

from trellis.db.base import db

log = structlog.get_logger(__name__)


def run_forked(app: Flask, runs: Mapping[str, Callable[[], None]]) -> int:
    """Run each in a process of its own until one of them ends or SIGTERM or SIGINT comes.

    Then the others get SIGTERM and are waited for. Returns 0 for an end that was asked for, else 1:
    whoever supervises this process starts all of them again.
    """
    children = {_fork(app, run): name for name, run in runs.items()}
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        _terminate(children)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while children:
        pid, status = os.wait()
        name = children.pop(pid, None)
        if name is not None and not asked:
            log.error("process_ended", process=name, exit_code=os.waitstatus_to_exitcode(status))
            asked.append(0)
            _terminate(children)
    return 0 if asked[0] else 1


def _fork(app: Flask, run: Callable[[], None]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with app.app_context():
            db.engine.dispose(close=False)  # connections are the parent's
        run()
        code = 0
    except BaseException:
        log.exception("process_failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _terminate(children: Mapping[int, str]) -> None:
    for pid in children:
        with suppress(ProcessLookupError):  # it has ended, and its entry is about to go
            os.kill(pid, signal.SIGTERM)
