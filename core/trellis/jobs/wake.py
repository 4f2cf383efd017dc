"""Waking workers through RQ. A wake-up carries no work: losing one only costs a few seconds.

RQ would run any function whose name stands in Redis. `WakeUpJob` knows two names and no other, so
whoever writes to Redis can wake workers and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from trellis.task import Queue as QueueName

FEED_CHANNEL = "trellis:feed"
LIGHT_KEY = "trellis:wake:light"
"""Set from a wake-up of the light workers until a drain begins."""

MOST = 50
"""Wake-ups of one queue that wait in Redis: more would only fill it, and the sweep wakes again."""

# It outlives its wake-up when Redis went away between the two.
_LIGHT_SECONDS = 5

_WAKE_UPS: dict[QueueName, str] = {"light": "drain", "heavy": "run"}


class WakeUpJob(Job):
    """An RQ job that may only be one of our wake-ups."""

    @property
    def func(self) -> Callable[..., Any]:
        from trellis.jobs.drain import WAKE_UPS  # the worker's side; web processes never need it

        try:
            return WAKE_UPS[self.func_name or ""]
        except KeyError:
            raise PermissionError(f"{self.func_name!r} is not a wake-up") from None

    # RQ imports callbacks by the path that stands in Redis, too.
    success_callback = property(lambda self: None)
    failure_callback = property(lambda self: None)
    stopped_callback = property(lambda self: None)


def rq_queue(name: QueueName, connection: Redis) -> Queue:
    """The RQ queue of a class of work."""
    return Queue(
        f"trellis-{name}",
        connection=connection,
        serializer=JSONSerializer,
        job_class=WakeUpJob,
    )


def wake_missing(redis: Redis, queue: QueueName, rows: int) -> None:
    """Have as many wake-ups wait in Redis as so many rows need, and none more.

    They are counted there, so nothing piles up while no worker runs.
    """
    needed = min(rows, 1 if queue == "light" else MOST)
    for _ in range(needed - len(rq_queue(queue, redis))):
        _enqueue(redis, queue)


def wake_light(redis: Redis) -> None:
    """Have a light worker drain its rows; one wake-up that no drain has begun with is enough."""
    if redis.set(LIGHT_KEY, 1, nx=True, ex=_LIGHT_SECONDS):
        _enqueue(redis, "light")


def wake_heavy(redis: Redis, rows: int) -> None:
    """Have heavy workers run so many rows more; they choose by priority, then by due time."""
    for _ in range(min(rows, MOST - len(rq_queue("heavy", redis)))):
        _enqueue(redis, "heavy")


def wake_feed(redis: Redis) -> None:
    """Tell streams that the feed has grown."""
    redis.publish(FEED_CHANNEL, b"1")


def _enqueue(redis: Redis, queue: QueueName) -> None:
    # No time-out of RQ's: tasks have their own. No result: the outbox row is the record.
    rq_queue(queue, redis).enqueue_call(_WAKE_UPS[queue], timeout=-1, result_ttl=0, failure_ttl=60)
