"""Redis only wakes: it can name no function, lose nothing, and be away."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from rq.serializers import JSONSerializer
from tests.processes import PATIENCE

from trellis.jobs.announcer import Announcer
from trellis.jobs.broker import quick_client
from trellis.jobs.drain import drain
from trellis.jobs.schedule import sweep
from trellis.jobs.wake import LIGHT_KEY, MOST, WakeUpJob, rq_queue, wake_light
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work


def _noop() -> None:
    """Does nothing."""


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


def _wake_ups(runtime: Runtime, queue: Any = "light") -> int:
    runtime.announcer.settle(PATIENCE)
    return len(rq_queue(queue, runtime.redis))


def test_a_job_in_redis_can_name_no_other_function(app_context: None, runtime: Runtime) -> None:
    queue = rq_queue("light", runtime.redis)
    queue.enqueue_call("os.system", args=["true"])
    job = WakeUpJob.fetch(queue.job_ids[0], runtime.redis, JSONSerializer)
    with pytest.raises(PermissionError, match=r"os\.system"):
        job.perform()


def test_a_job_in_redis_can_name_no_callback(app_context: None, runtime: Runtime) -> None:
    wake_light(runtime.redis)
    queue = rq_queue("light", runtime.redis)
    key = f"rq:job:{queue.job_ids[0]}"
    runtime.redis.hset(key, mapping={"success_callback_name": "os.abort"})
    job = WakeUpJob.fetch(queue.job_ids[0], runtime.redis, JSONSerializer)
    assert job.success_callback is None


def test_one_pending_wake_up_is_enough(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    name = declare_task(_noop)
    for _ in range(5):
        with unit_of_work() as uow:
            uow.enqueue(name)
    assert _wake_ups(runtime) == 1


def test_each_heavy_row_has_a_wake_up_of_its_own(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    name = declare_task(_noop, queue="heavy")
    with unit_of_work() as uow:
        uow.enqueue(name)
        uow.enqueue(name)
    assert _wake_ups(runtime, "heavy") == 2
    sweep()
    assert _wake_ups(runtime, "heavy") == 2


def test_wake_ups_do_not_pile_up_while_no_worker_runs(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    name = declare_task(_noop, queue="heavy")
    for _ in range(3):
        with unit_of_work() as uow:
            for _ in range(MOST - 1):
                uow.enqueue(name)
    assert _wake_ups(runtime, "heavy") == MOST


def test_the_sweep_wakes_for_work_whose_wake_up_was_lost(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    with unit_of_work() as uow:
        uow.enqueue(declare_task(_noop))
        uow.enqueue(declare_task(lambda: None, queue="heavy"))
    runtime.announcer.settle()
    runtime.redis.flushall()
    sweep()
    assert _wake_ups(runtime) == 1
    assert _wake_ups(runtime, "heavy") == 1
    sweep()  # and does not pile them up while no worker comes
    assert _wake_ups(runtime) == 1
    assert _wake_ups(runtime, "heavy") == 1


def test_the_sweep_wakes_where_redis_went_away_in_the_middle(
    app_context: None, runtime: Runtime, declare_task: Any
) -> None:
    runtime.redis.set(LIGHT_KEY, 1)  # and then no wake-up followed
    with unit_of_work() as uow:
        uow.enqueue(declare_task(_noop))
    runtime.announcer.settle()
    assert _wake_ups(runtime) == 0
    sweep()
    assert _wake_ups(runtime) == 1


@pytest.fixture
def away(runtime: Runtime) -> Iterator[Callable[[Redis], None]]:
    """Have wake-ups go to another Redis until the end of the test."""
    with pytest.MonkeyPatch.context() as patch:

        def away(redis: Redis) -> None:
            patch.setattr(runtime, "redis", redis)
            patch.setattr(runtime, "announcer", other)

        other = Announcer(lambda: runtime.redis)
        yield away
    other.settle(PATIENCE)  # it tells the right one, and nobody in the tests to come


def test_few_requests_wait_for_a_redis_that_says_nothing(
    app_context: None, away: Callable[[Redis], None], declare_task: Any
) -> None:
    name = declare_task(_noop)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0.1)
        away(quick_client(f"redis://127.0.0.1:{silent.getsockname()[1]}"))
        for _ in range(20):
            with unit_of_work() as uow:
                uow.enqueue(name)
        asked = 0
        with suppress(TimeoutError):
            while True:
                silent.accept()[0].close()
                asked += 1
    assert 0 < asked < 5  # each of them would have asked anew


def test_work_is_accepted_while_redis_is_away(
    app_context: None, away: Callable[[Redis], None], declare_task: Any, run_tasks: Any
) -> None:
    name = declare_task(_noop)
    away(quick_client("unix:///nonexistent/broker.sock"))
    with unit_of_work() as uow:
        uow.enqueue(name)
    assert run_tasks() == [name]


def test_who_could_not_be_woken_is_woken_when_redis_is_back(
    app_context: None, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, declare_task: Any
) -> None:
    """Without the sweep."""
    with monkeypatch.context() as away:
        away.setattr(runtime, "redis", quick_client("unix:///nonexistent/broker.sock"))
        with unit_of_work() as uow:
            uow.enqueue(declare_task(_noop))
        runtime.announcer.settle(0.1)
    assert _wake_ups(runtime) == 1


def test_what_was_claimed_is_run_though_redis_is_full(
    app_context: None, runtime: Runtime, declare_task: Any, outbox: Any
) -> None:
    name = declare_task(_noop)
    with unit_of_work() as uow:
        for _ in range(20):
            uow.enqueue(name)
    runtime.announcer.settle(PATIENCE)  # a refusal would have it tell nobody in the tests to come
    before = runtime.redis.config_get("maxmemory*")
    runtime.redis.config_set("maxmemory-policy", "noeviction", "maxmemory", "1")
    try:
        drain()
    finally:
        for parameter in ("maxmemory", "maxmemory-policy"):
            runtime.redis.config_set(parameter, str(before[parameter]))
    assert outbox() == []
