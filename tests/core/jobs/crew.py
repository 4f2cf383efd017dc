"""One worker process with tasks that behave badly: ``python -m tests.core.jobs.crew light``.

``light`` and ``heavy`` are bare workers, ``pool`` is a light one as `trellis worker` starts it.
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

from flask import Flask

from trellis.app import create_app
from trellis.jobs import limits, worker
from trellis.jobs.pool import run_forked
from trellis.jobs.schedule import run_scheduler
from trellis.observe.audit import record
from trellis.task import Options, Task
from trellis.unit_of_work import unit_of_work

_PAUSE = 0.01


def effect(number: int) -> None:
    """One row, which tells who made it."""
    with unit_of_work() as uow:
        record(uow, "core.effect", number=number, pid=os.getpid())


def wait_and_write(directory: str, number: int) -> None:
    """The same, when the test lets this process."""
    place = Path(directory)
    (place / f"began-{os.getpid()}").touch()
    while not (place / f"go-{os.getpid()}").exists():
        time.sleep(_PAUSE)
    effect(number)


def write_and_work(seconds: float) -> None:
    """Write first, and be at work for so long before the commit: on SQLite nobody else writes."""
    effect(0)
    time.sleep(seconds)


def flaky_effect(number: int) -> None:
    """The same, when chance will have it."""
    if random.random() < 0.1:
        raise ValueError
    effect(number)


def die_by(number: int) -> None:
    """End by a signal."""
    os.kill(os.getpid(), number)


def leave(code: int) -> None:
    """End without a word."""
    os._exit(code)


def hog() -> None:
    """Take all memory that there is."""
    held = []
    while True:
        held.append(bytearray(2**24))


def be_deaf() -> None:
    """Take no hint."""
    while True:
        try:
            while True:
                time.sleep(_PAUSE)
        except BaseException:  # noqa: BLE001 (as bad code does)
            continue


def hang_in_c() -> None:
    """Wait for a lock of C's that this very thread holds: no signal interrupts it."""
    mutex = ctypes.create_string_buffer(64)
    library = ctypes.CDLL(None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def hold() -> None:
    """Let no Python run, not even what a signal calls: the interpreter stays in C."""
    deque(repeat(None), maxlen=0)


def backtrack() -> None:
    """Match an expression that takes years, and lets no other thread run meanwhile."""
    re.fullmatch("(a+)+", "a" * 100 + "b")


def declared(queue: str) -> list[Task]:
    """All of them, of one class."""
    kinds: dict[Callable[..., None], Options] = {
        effect: Options(attempts=50, time_limit=5),
        flaky_effect: Options(attempts=50),
        wait_and_write: Options(time_limit=120),
        write_and_work: Options(attempts=1),
        die_by: Options(attempts=2),
        leave: Options(attempts=1),
        hog: Options(attempts=1, memory_mb=512),
        be_deaf: Options(attempts=1, time_limit=0.2),
        hang_in_c: Options(attempts=1, time_limit=0.2),
        hold: Options(attempts=1, time_limit=0.2),
        backtrack: Options(attempts=1, time_limit=0.2),
    }
    return [
        Task(
            f"core.{queue}_{function.__name__}",
            function,
            Options(**{**vars(options), "queue": queue}),
        )
        for function, options in kinds.items()
    ]


def declare(app: Flask) -> list[str]:
    """Have an application know the tasks of both classes; their names."""
    tasks = [*declared("light"), *declared("heavy")]
    app.extensions["trellis"].tasks |= {task.name: task for task in tasks}
    return [task.name for task in tasks]


def main() -> None:
    """Work until SIGTERM."""
    (kind,) = sys.argv[1:]
    app = create_app()
    declare(app)
    worker._MOST_RUNS = int(os.environ.get("CREW_MOST_RUNS", worker._MOST_RUNS))
    limits._LONGEST_SILENCE = float(os.environ.get("CREW_SILENCE", limits._LONGEST_SILENCE))
    if kind == "scheduler":
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        run_scheduler(app, stop)
    elif kind == "pool":
        sys.exit(run_forked(app, {"light": lambda: worker.run_worker(app, "light")}))
    else:
        worker.run_worker(app, "heavy" if kind == "heavy" else "light")


if __name__ == "__main__":
    main()
