"""Durable work against plain RQ: tasks a second, and how long one task takes.

    python perf/micro/durable_work.py                   # all databases: a few minutes
    python perf/micro/durable_work.py --on sqlite --tasks 2000

Each row is one run on one database. Both sides insert one row of the same table for each task, in
processes of their own: plain RQ as `SimpleWorker`, a job a task, through SQLAlchemy's engine with
one commit; Trellis as `trellis worker light` runs it, through the real unit of work. Workers start
on a full queue for the throughput, and on an empty one for single tasks, 20 a second, whose time
counts from before the enqueueing transaction begins until the effect is committed.

`slow` is PostgreSQL with `commit_delay` of 3 ms and `commit_siblings` of 0, so that every commit
that waits for the disk takes that much longer, as on network storage.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from sqlalchemy import (
    Column,
    Double,
    Engine,
    Integer,
    MetaData,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
)

CASES = ("postgresql", "slow", "sqlite")
EFFECT = Table(
    "measured_effect",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("sent", Double, nullable=False),
)
_INSERT = insert(EFFECT)
_TASK = "core.measured"
_SLOW = {"commit_delay": "3000", "commit_siblings": "0"}
_RATE = 20
_WITHIN = 600.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", action="append", choices=CASES, help="one database, or several")
    parser.add_argument("--tasks", type=int, default=3000, help="for the throughput")
    parser.add_argument("--workers", action="append", type=int, help="how many; 1 and 2 by default")
    parser.add_argument("--singles", type=int, default=200, help="for the time of one task")
    parser.add_argument("--plain-tasks", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="in turn; medians are shown")
    parser.add_argument("--role", choices=("trellis", "plain"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        {"trellis": work_trellis, "plain": work_plain}[options.role]()
        return
    for case in options.on or CASES:
        with started(case) as side:
            measure(case, side, options)


# --- the two sides --------------------------------------------------------------------------------


def work_trellis() -> None:
    """One worker as `trellis worker light` is, with one task more."""
    from trellis.jobs.worker import run_worker

    app = application()
    ready()
    run_worker(app, "light")


def application() -> Flask:
    """Trellis with a task that inserts one row."""
    from trellis.app import create_app
    from trellis.task import Options, Task

    app = create_app()
    app.extensions["trellis"].tasks[_TASK] = Task(_TASK, measured, Options())
    return app


def measured(number: int, sent: float) -> None:
    """The task: one row."""
    from trellis.unit_of_work import unit_of_work

    with unit_of_work() as uow:
        uow.execute(_effect(), number=number, sent=sent)
        uow.after_commit(lambda: done(sent))


@cache
def _effect() -> Any:
    from trellis.db import Compiled

    return Compiled(insert(EFFECT).values(number=bindparam("number"), sent=bindparam("sent")))


def work_plain() -> None:
    """One worker of RQ that runs jobs itself."""
    connection = Redis.from_url(os.environ["TRELLIS_REDIS_URL"])
    queue = Queue("plain", connection=connection, serializer=JSONSerializer)
    worker = SimpleWorker([queue], connection=connection, serializer=JSONSerializer)
    worker.log_result_lifespan = False
    plain_engine()
    ready()
    worker.work(logging_level="WARNING")


def plain(number: int, sent: float) -> None:
    """The job: one row."""
    with plain_engine().begin() as connection:
        connection.execute(_INSERT, {"number": number, "sent": sent})
    done(sent)


_engines: list[Engine] = []


def plain_engine() -> Engine:
    """The process's engine, with the same care for the disk as Trellis has."""
    if not _engines:
        url = os.environ["TRELLIS_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _durable_sqlite)
        engine.connect().close()
        _engines.append(engine)
    return _engines[0]


def _durable_sqlite(connection: Any, _record: Any) -> None:
    for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


_journal: list[int] = []


def done(sent: float) -> None:
    """Note that an effect is committed."""
    if not _journal:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        _journal.append(os.open(os.environ["MEASURED_JOURNAL"], flags))
    os.write(_journal[0], f"{sent!r} {time.time()!r}\n".encode())


def ready() -> None:
    """Tell the parent, and wait until it wants us to begin."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


# --- measuring -----------------------------------------------------------------------------------


class Sides:
    """What enqueues on either side, and where the workers note what they did."""

    def __init__(self, app: Flask, directory: Path) -> None:
        self.app, self.directory = app, directory
        connection = Redis.from_url(os.environ["TRELLIS_REDIS_URL"])
        self._queue = Queue("plain", connection=connection, serializer=JSONSerializer)
        self._numbers = iter(range(1, 10_000_000))

    def enqueue_trellis(self, count: int) -> None:
        """In one unit of work."""
        from trellis.unit_of_work import unit_of_work

        with self.app.app_context():
            sent = time.time()
            with unit_of_work() as uow:
                for _ in range(count):
                    uow.enqueue(_TASK, number=next(self._numbers), sent=sent)

    def enqueue_plain(self, count: int) -> None:
        """In one pipeline."""
        sent = time.time()
        jobs = [
            Queue.prepare_data(
                "durable_work.plain", args=[next(self._numbers), sent], result_ttl=0, timeout=60
            )
            for _ in range(count)
        ]
        self._queue.enqueue_many(jobs)

    @contextmanager
    def workers(self, role: str, count: int) -> Iterator[Callable[[], None]]:
        """Processes that begin when the given function is called, and are ended after the block."""
        with ExitStack() as stack:
            processes = [
                subprocess.Popen(
                    [sys.executable, __file__, "--role", role],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                for _ in range(count)
            ]
            for process in processes:
                stack.callback(_end, process)
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline(), "a worker did not start"

            def go() -> None:
                for process in processes:
                    assert process.stdin is not None
                    process.stdin.write(b"\n")
                    process.stdin.flush()

            yield go

    def notes(self, count: int) -> list[tuple[float, float]]:
        """When each of that many effects was asked for and committed."""
        journal = Path(os.environ["MEASURED_JOURNAL"])
        deadline = time.monotonic() + _WITHIN
        while not journal.exists() or journal.read_bytes().count(b"\n") < count:
            assert time.monotonic() < deadline, "the workers do not get done"
            time.sleep(0.05)
        lines = journal.read_text().splitlines()
        journal.unlink()
        assert len(lines) == count, f"{len(lines)} effects of {count}"
        return [(float(sent), float(at)) for sent, at in map(str.split, lines)]

    def throughput(self, role: str, workers: int, count: int) -> float:
        """Tasks a second of that many workers on a full queue."""
        with self.workers(role, workers) as go:
            {"trellis": self.enqueue_trellis, "plain": self.enqueue_plain}[role](count)
            began = time.time()
            go()
            return count / (max(at for _, at in self.notes(count)) - began)

    def latency(self, role: str, count: int) -> tuple[float, float]:
        """Median and 99th percentile in milliseconds of single tasks, 20 a second."""
        with self.workers(role, 1) as go:
            enqueue = {"trellis": self.enqueue_trellis, "plain": self.enqueue_plain}[role]
            go()
            began = time.monotonic() + 1
            for number in range(count):
                time.sleep(max(0.0, began + number / _RATE - time.monotonic()))
                enqueue(1)
            times = sorted(1000 * (at - sent) for sent, at in self.notes(count))
        return statistics.median(times), times[int(len(times) * 0.99) - 1]


def measure(case: str, sides: Sides, options: argparse.Namespace) -> None:
    """One database; both sides in turn, so that what else the machine does slows both."""
    say(f"\n{case:<12}{'plain RQ':>12}{'Trellis':>12}{'ratio':>8}")
    for workers in options.workers or (1, 2):
        rates = [
            (
                sides.throughput("plain", workers, options.plain_tasks),
                sides.throughput("trellis", workers, options.tasks),
            )
            for _ in range(options.rounds)
        ]
        theirs, ours = (statistics.median(column) for column in zip(*rates, strict=True))
        ratio = statistics.median(mine / other for other, mine in rates)
        say(f"{f'{workers} worker(s)':<12}{theirs:>10.0f}/s{ours:>10.0f}/s{ratio:>8.1f}")
    plain_times = sides.latency("plain", options.singles)
    times = sides.latency("trellis", options.singles)
    for name, one, other in zip(("p50", "p99"), plain_times, times, strict=True):
        say(f"{name:<12}{one:>9.1f} ms{other:>9.1f} ms{other / one:>8.1f}")


def say(line: str) -> None:
    """One line of the result."""
    print(line, flush=True)


# --- the servers ----------------------------------------------------------------------------------


@contextmanager
def started(case: str) -> Iterator[Sides]:
    """A broker and a database of their own, gone after the block."""
    from trellis.db import migrations
    from trellis.local.broker import Broker
    from trellis.testing.postgresql import DURABLE, PostgreSQL

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(Broker(directory))
        if case == "sqlite":
            url = f"sqlite:///{directory}/trellis.db"
        else:
            server = PostgreSQL({**DURABLE, **(_SLOW if case == "slow" else {})})
            stack.callback(server.close)
            server.start()
            url = server.url()
        (directory / "trellis.toml").write_text('log_level = "error"\n')
        os.environ |= {
            "TRELLIS_CONFIG": str(directory / "trellis.toml"),
            "TRELLIS_ENVIRONMENT": "testing",
            "TRELLIS_DATA_DIR": str(directory),
            "TRELLIS_REDIS_URL": broker.url,
            "TRELLIS_DATABASE_URL": url,
            "MEASURED_JOURNAL": str(directory / "journal"),
        }
        app = application()
        with app.app_context():
            migrations.upgrade()
        _engines.clear()
        EFFECT.metadata.create_all(plain_engine())
        yield Sides(app, directory)
        _engines.pop().dispose()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


if __name__ == "__main__":
    sys.modules.setdefault("durable_work", sys.modules["__main__"])
    main()
