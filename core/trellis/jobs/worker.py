"""Worker processes: RQ's own workers, one queue each."""

from __future__ import annotations

import os
from types import FrameType
from typing import Any

from flask import Flask
from redis import Redis
from rq import SimpleWorker, Worker
from rq.job import Job
from rq.queue import Queue as RQQueue
from rq.serializers import JSONSerializer

from trellis.db.base import db
from trellis.jobs.declaration import Queue
from trellis.jobs.drain import stopping
from trellis.jobs.wake import WakeUpJob, rq_queue
from trellis.observe.metrics import forget_process
from trellis.runtime import runtime

# RQ waits this long (less 15 seconds) in one blocking read; its maintenance runs in between.
_WORKER_TTL = 45


class LightWorker(SimpleWorker):
    """Runs wake-ups in its own process."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Ask the drain to stop after the row under way, then stop as RQ does."""
        stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


class HeavyWorker(Worker):
    """Forks a process for each wake-up."""

    def monitor_work_horse(self, job: Job, queue: RQQueue, execution: Any) -> None:
        """Each fork would leave its files of metrics behind, for ever."""
        horse = self.horse_pid
        super().monitor_work_horse(job, queue, execution)
        forget_process(horse)

    def main_work_horse(self, job: Job, queue: RQQueue) -> None:
        """What escapes before RQ's own handling would run on in the parent's loop, and fork on."""
        try:
            db.engine.dispose(close=False)  # the parent's connections are not ours to use
            super().main_work_horse(job, queue)
        except BaseException:  # noqa: BLE001 (it must not run on, whatever it is)
            os._exit(1)


def run_worker(app: Flask, queue: Queue) -> None:
    """Work until SIGTERM or SIGINT; the row under way is finished first."""
    with app.app_context():
        # A connection of its own: a worker blocks in reads far longer than a web request may.
        connection = Redis.from_url(runtime().redis_url)
        worker_class: Any = LightWorker if queue == "light" else HeavyWorker
        worker = worker_class(
            [rq_queue(queue, connection)],
            connection=connection,
            job_class=WakeUpJob,
            serializer=JSONSerializer,
            worker_ttl=_WORKER_TTL,
            log_job_description=False,
        )
        worker.work(logging_level="WARNING")
