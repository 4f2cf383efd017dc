"""Waking workers through RQ. A wake-up carries no work: losing one only costs a few seconds.

RQ would run any function whose name stands in Redis. `WakeUpJob` knows two names and no other, so
whoever writes to Redis can wake workers and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from trellis.jobs.declaration import Queue as QueueName
from trellis.runtime import runtime

if TYPE_CHECKING:
    from trellis.outbox.append import OutboxRecord

FEED_CHANNEL = "trellis:feed"
LIGHT_KEY = "trellis:wake:light"
"""Set from a wake-up of the light workers until a drain begins."""

# After this many seconds the same wake-up is sent again by whoever finds the work undone.
_LIGHT_SECONDS = 5
_HEAVY_SECONDS = 15


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


def wake_workers(work: Sequence[OutboxRecord]) -> None:
    """Wake what the given work needs. Raises redis.RedisError when Redis is away."""
    for record in work:
        if record.queue == "heavy":
            wake_heavy(record.id, 0)
    if any(record.queue == "light" for record in work):
        wake_light()


def wake_light() -> None:
    """Have a light worker drain its rows; one wake-up that no drain has begun with is enough."""
    if runtime().redis.set(LIGHT_KEY, 1, nx=True, ex=_LIGHT_SECONDS):
        _enqueue("light", "drain")


def wake_heavy(row_id: UUID, fence: int) -> None:
    """Have a heavy worker run one row, which it chooses: by priority, then by due time.

    There is one wake-up for each row; ``fence`` tells the attempts' apart.
    """
    if runtime().redis.set(f"trellis:wake:{row_id}:{fence}", 1, nx=True, ex=_HEAVY_SECONDS):
        _enqueue("heavy", "run")


def wake_feed() -> None:
    """Tell streams that the feed has grown."""
    runtime().redis.publish(FEED_CHANNEL, b"1")


def _enqueue(queue: QueueName, name: str) -> None:
    # No time-out of RQ's: tasks have their own. No result: the outbox row is the record.
    rq_queue(queue, runtime().redis).enqueue_call(name, timeout=-1, result_ttl=0, failure_ttl=60)
