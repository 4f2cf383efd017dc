"""Worker processes: RQ's own workers, one queue each."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import structlog
from flask import Flask, current_app
from redis import Redis, RedisError
from rq import SimpleWorker, Worker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue as RQQueue
from rq.serializers import JSONSerializer
from rq.worker.base import BaseWorker

from trellis.db.base import db
from trellis.jobs.broker import patient_client
from trellis.jobs.flight import Ended, Flight, account_for, process
from trellis.jobs.limits import resident_mebibytes
from trellis.jobs.wake import WakeUpJob, rq_queue
from trellis.observe.metrics import forget_process, observe_task
from trellis.runtime import runtime
from trellis.task import Queue

log = structlog.get_logger(__name__)

# RQ waits this long less 15 seconds in one blocking read, and less 5 for any answer of Redis.
_WORKER_TTL = 20
_PAUSE_SECONDS = 1.0

# What a light worker may grow to before another takes its place: no task is trusted not to leak.
_MOST_RUNS = 100_000
_MOST_MEBIBYTES = 512


def _no_fault_of_redis(_record: logging.LogRecord) -> bool:
    """RQ logs an error when Redis goes away, and waits: told in our one line in its place."""
    error = sys.exc_info()[1]
    if isinstance(error, RedisError):
        log.warning("broker_away", error=str(error))
        return False
    return True


logging.getLogger("rq.worker").addFilter(_no_fault_of_redis)
# What RQ's registries call lost jobs are wake-ups: work is rows.
logging.getLogger("rq.registry").setLevel(logging.ERROR)


class _Resumable(BaseWorker):
    """What both kinds change in RQ's: Redis may go and come back, and commands nothing."""

    # RQ waits up to a minute, after Redis is back as well.
    max_connection_wait_time = _PAUSE_SECONDS

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Begin no further row, and stop as RQ does after the one under way."""
        process.stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        if process.stopping.is_set():  # asked while it registered, which may take a while
            raise StopRequested

    def set_shutdown_requested_date(self) -> None:
        """Tell nobody: this runs in the middle of a task, and Redis may be away."""

    def subscribe(self) -> None:
        """Listen to no commands: whoever writes to Redis could end tasks and workers."""

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Say who it is as well: a Redis that came back empty knows it again."""
        said = self.connection.pipeline() if pipeline is None else pipeline
        super().heartbeat(timeout, said)
        said.hset(self.key, mapping=self.serialize())
        worker_registration.register(self, said)
        if pipeline is None:
            said.execute()

    def maintain_heartbeats(self, job: Job, execution: Any) -> None:
        """Redis forgets a worker that it has not heard of; the task goes on."""
        with suppress(RedisError):
            super().maintain_heartbeats(job, execution)


class LightWorker(_Resumable, SimpleWorker):
    """Runs wake-ups in its own process, which makes room for a fresh one after a while."""

    def execute_job(self, job: Job, queue: RQQueue) -> None:
        super().execute_job(job, queue)
        memory = resident_mebibytes()
        if process.runs > _MOST_RUNS or memory > _MOST_MEBIBYTES:
            log.info("worker_recycled", runs=process.runs, mebibytes=round(memory))
            process.stopping.set()
            self._stop_requested = True


class HeavyWorker(_Resumable, Worker):
    """Forks a process for each wake-up."""

    def fork_work_horse(self, job: Job, queue: RQQueue) -> None:
        """Each fork tells us what it runs, also when it dies."""
        process.flight = Flight()
        super().fork_work_horse(job, queue)

    def wait_for_horse(self) -> Any:
        """Count what the fork has run, or write down how it ended in mid-task."""
        horse, status, usage = super().wait_for_horse()
        if horse and status is not None:
            latest = process.flight.latest()
            if isinstance(latest, Ended):
                observe_task(latest.task, latest.outcome, latest.seconds)
            account_for(current_app, process.flight, os.waitstatus_to_exitcode(status))
            # Each fork would leave its files of metrics behind, for ever; ours have the figures.
            forget_process(horse)
        return horse, status, usage

    def handle_work_horse_killed(self, *_: Any) -> None:
        """It is told already, with its task."""

    def setup_work_horse_signals(self) -> None:
        """A service manager sends SIGTERM to all processes at once: the task is finished first."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGTERM, lambda *_: None)

    def main_work_horse(self, job: Job, queue: RQQueue) -> None:
        """What escapes before RQ's own handling would run on in the parent's loop, and fork on."""
        try:
            db.engine.dispose(close=False)  # the parent's connections are not ours to use
            super().main_work_horse(job, queue)
        except BaseException:  # noqa: BLE001 (it must not run on, whatever it is)
            os._exit(1)


def run_worker(app: Flask, queue: Queue) -> None:
    """Work until SIGTERM or SIGINT; the row under way is finished first.

    While Redis is away nothing is run; then the work of this process goes on.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stopping.set())
    with app.app_context(), suppress(StopRequested):
        runtime().redis = connection = patient_client(runtime().redis_url)
        while not process.stopping.is_set():
            try:
                _worker(queue, connection).work(logging_level="WARNING")
            except RedisError as error:
                log.warning("broker_away", error=str(error))
            process.stopping.wait(_PAUSE_SECONDS)


def _worker(queue: Queue, connection: Redis) -> BaseWorker:
    worker_class = LightWorker if queue == "light" else HeavyWorker
    return worker_class(
        [rq_queue(queue, connection)],
        connection=connection,
        job_class=WakeUpJob,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL,
        log_job_description=False,
    )
