"""The shared cache against a real Valkey, which the tests also kill, stop and start again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import flask
import pytest
from prometheus_client import REGISTRY
from redis import Redis
from sqlalchemy import text

from trellis.app import cache_url
from trellis.breaker import CircuitBreaker
from trellis.cache import cached, current_cache, init_cache
from trellis.db.base import db
from trellis.db.engine import init_engine
from trellis.feed.models import FeedEntry
from trellis.local.broker import Broker
from trellis.settings import Settings
from trellis.unit_of_work import unit_of_work
from trellis_cache.tags import digest_of


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("data")) as broker:
        yield broker


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as broker:
        yield broker


@contextmanager
def application(broker: Broker, release: str = "1.0") -> Iterator[flask.Flask]:
    """An application, in its context, whose plugin `shop` is this module."""
    app = flask.Flask(__name__)
    shop = SimpleNamespace(name="shop", package=__name__, version=release)
    app.extensions["trellis"] = SimpleNamespace(plugins={"shop": shop}, public_tags=set())
    init_cache(app, broker.url.replace("?db=0", "?db=1"))
    [backend] = app.extensions["cache"].values()
    with backend._write_client, app.app_context():
        yield app


@pytest.fixture
def redis(broker: Broker) -> Iterator[Redis]:
    with Redis.from_url(broker.url.replace("?db=0", "?db=1")) as client:
        client.flushdb()
        yield client


@pytest.fixture
def app(broker: Broker, redis: Redis) -> Iterator[flask.Flask]:
    with application(broker) as app:
        yield app


def invalidate(*tags: str) -> None:
    current_cache().invalidate(uuid4().hex, [digest_of(tag) for tag in tags])


class Shop:
    """Rows, a cached function over them, and how often it looked at them."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.reads = 0
        self.while_reading: Callable[[], None] = lambda: None

        @cached(tags=lambda name, **_: [f"shop.row:{name}", "shop.rows"], seconds=60)
        def read(name: str, *, user_id: UUID | None = None) -> Any:
            self.reads += 1
            value = self.rows.get(name)
            self.while_reading()
            return value

        self.read = read

    def write(self, name: str, value: Any) -> None:
        self.rows[name] = value
        invalidate(f"shop.row:{name}")


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": [1, 2.5, None, "ü"]}, True])
def test_an_answer_is_computed_once(app: flask.Flask, shop: Shop, value: Any) -> None:
    shop.rows["a"] = value
    assert [shop.read("a") for _ in range(3)] == [value] * 3
    assert shop.reads == 1


def test_arguments_tell_answers_apart(app: flask.Flask, shop: Shop) -> None:
    one, two = uuid4(), uuid4()
    for user_id in (one, two, one, None):
        shop.read("a", user_id=user_id)
    shop.read(name="a")
    assert shop.reads == 3


def test_kept_and_computed_answers_are_alike(app: flask.Flask, shop: Shop) -> None:
    shop.rows["a"] = ({"b": (1,)},)
    assert shop.read("a") == shop.read("a") == [{"b": [1]}]


def test_what_is_not_json_is_refused_at_the_first_call(app: flask.Flask, shop: Shop) -> None:
    for value in (uuid4(), date(2026, 1, 1), float("nan")):
        shop.rows["a"] = value
        with pytest.raises((TypeError, ValueError)):
            shop.read("a")


def test_an_argument_without_a_stable_form_is_refused(app: flask.Flask, shop: Shop) -> None:
    with pytest.raises(TypeError, match="object cannot be part of a cache key"):
        shop.read("a", user_id=object())  # type: ignore[arg-type]


def test_invalidation_reaches_what_carries_the_tag_and_nothing_else(
    app: flask.Flask, shop: Shop
) -> None:
    for name in ("a", "b"):
        shop.rows[name] = 1
        shop.read(name)
    shop.write("a", 2)
    assert [shop.read("a"), shop.read("b"), shop.reads] == [2, 1, 3]
    invalidate("shop.rows")
    assert [shop.read("a"), shop.read("b"), shop.reads] == [2, 1, 5]


def test_an_answer_from_old_rows_is_never_kept_under_a_new_version(
    app: flask.Flask, shop: Shop, redis: Redis
) -> None:
    shop.rows["a"] = "old secret"
    shop.while_reading = lambda: shop.write("a", "new")
    assert shop.read("a") == "old secret"
    assert b"old secret" not in stored(redis)
    shop.while_reading = lambda: None
    assert shop.read("a") == "new"


def test_invalidation_leaves_no_copy_behind(app: flask.Flask, shop: Shop, redis: Redis) -> None:
    shop.rows["a"] = "a person's name"
    for user_id in [None, *(uuid4() for _ in range(20))]:
        shop.read("a", user_id=user_id)
    assert b"a person's name" in stored(redis)
    invalidate("shop.row:a")
    assert b"a person's name" not in stored(redis)
    assert list(redis.scan_iter("*shop.row:a*")) == []  # a tag may hold a person's id


def stored(redis: Redis) -> bytes:
    """Everything that the database holds, values of all kinds."""
    return b"\n".join(redis.dump(key) or b"" for key in redis.scan_iter(count=1000))


def test_everything_that_is_kept_ends_by_itself(app: flask.Flask, shop: Shop, redis: Redis) -> None:
    shop.read("a")
    ends = {bytes(key): redis.ttl(key) for key in redis.scan_iter()}
    assert len(ends) == 6
    assert all(seconds > 0 for seconds in ends.values())
    [value] = [seconds for key, seconds in ends.items() if b":shop:" in key]
    assert value <= 60 < min(seconds for key, seconds in ends.items() if b":shop:" not in key)


def test_lost_versions_are_a_miss(app: flask.Flask, shop: Shop, redis: Redis) -> None:
    shop.read("a")
    redis.delete(f"trellis:tag:{digest_of('shop.row:a')}")
    shop.read("a")
    assert shop.reads == 2


def test_a_new_release_does_not_read_what_an_old_one_kept(
    app: flask.Flask, broker: Broker, shop: Shop, redis: Redis
) -> None:
    shop.read("a")
    with application(broker, release="1.1"):
        shop.read("a")
        assert shop.reads == 2
        invalidate("shop.row:a")
    assert not list(redis.scan_iter("trellis:1*"))


def test_a_plugin_stays_in_its_scope(app: flask.Flask, redis: Redis) -> None:
    @cached(tags=lambda: ["media.assets"], seconds=1)
    def foreign() -> int:
        return 1

    with pytest.raises(ValueError, match=r"'media.assets' does not begin with 'shop.'"):
        foreign()
    foreign.__wrapped__.__module__ = "stranger.services"  # type: ignore[attr-defined]
    with pytest.raises(LookupError, match=r"stranger.services belongs to no plugin"):
        foreign()


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_the_time_of_an_answer_is_bounded(seconds: int) -> None:
    with pytest.raises(ValueError, match="1 to 3600"):
        cached(tags=list, seconds=seconds)


def test_readers_never_see_less_than_was_written_before(app: flask.Flask, shop: Shop) -> None:
    shop.rows = dict.fromkeys("abcd", 0)

    def write_and_read(name: str) -> list[tuple[int, int]]:
        with app.app_context():
            pairs = []
            for number in range(1, 200):
                shop.write(name, number)
                pairs.append((number, shop.read(name)))
                others = [shop.read(other) for other in "abcd"]
                assert all(0 <= other < 200 for other in others)
            return pairs

    with ThreadPoolExecutor(4) as pool:
        for pairs in pool.map(write_and_read, "abcd"):
            assert all(written == read for written, read in pairs)
    assert [shop.read(name) for name in "abcd"] == [199] * 4


def pid_of(broker: Broker) -> int:
    with Redis.from_url(broker.url) as client:
        return int(client.info("server")["process_id"])


def reads(result: str) -> float:
    return (
        REGISTRY.get_sample_value("trellis_cache_reads_total", {"scope": "shop", "result": result})
        or 0.0
    )


def test_reads_are_counted(app: flask.Flask, shop: Shop) -> None:
    before = reads("hit"), reads("miss")
    for _ in range(3):
        shop.read("a")
    assert (reads("hit") - before[0], reads("miss") - before[1]) == (2, 1)
    assert (REGISTRY.get_sample_value("trellis_cache_seconds_count", {"scope": "shop"}) or 0) >= 3


def test_a_killed_server_is_a_miss(own_broker: Broker, shop: Shop) -> None:
    with application(own_broker):
        shop.rows["a"] = 1
        shop.read("a")
        os.kill(pid_of(own_broker), signal.SIGKILL)
        errors = reads("error")
        assert [shop.read("a") for _ in range(10)] == [1] * 10
        assert shop.reads == 11
        assert reads("error") - errors == 10


def test_a_stalled_server_costs_little(own_broker: Broker, shop: Shop) -> None:
    with application(own_broker):
        shop.read("a")
        pid = pid_of(own_broker)
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            for _ in range(100):
                shop.read("a")
            # Three time-outs of 0.2 s, then the breaker; without it there would be 20 s of them.
            assert time.monotonic() - started < 10
        finally:
            os.kill(pid, signal.SIGCONT)


def test_what_changed_while_the_server_was_away_is_not_served_when_it_is_back(
    own_broker: Broker, shop: Shop
) -> None:
    with application(own_broker):
        shop.write("a", "old")
        shop.read("a")
        pid = pid_of(own_broker)
        os.kill(pid, signal.SIGSTOP)
        for number in range(5):  # more than the breaker takes
            shop.write("a", f"new {number}")
        os.kill(pid, signal.SIGCONT)
        hits, deadline = reads("hit"), time.monotonic() + 10
        while reads("hit") == hits:
            assert time.monotonic() < deadline, "the cache did not come back"
            assert shop.read("a") == "new 4"


class TestUnitOfWork:
    @pytest.fixture
    def uow(self, app: flask.Flask, tmp_path: Path) -> Callable[..., Any]:
        init_engine(app, Settings(database_url=f"sqlite:///{tmp_path}/trellis.db"))
        FeedEntry.__table__.create(db.engine)  # type: ignore[attr-defined]
        return unit_of_work

    def test_what_it_reads_is_not_kept(self, uow: Callable[..., Any], shop: Shop) -> None:
        with uow() as unit:
            shop.rows["a"] = "kept before it began"
            shop.read("a")
            unit.session.execute(text("SELECT 1"))
            shop.rows["a"] = "not committed"
            assert shop.read("a") == "not committed"
        assert shop.read("a") == "kept before it began"

    def test_its_tags_fall_after_the_commit(self, uow: Callable[..., Any], shop: Shop) -> None:
        with uow() as unit:
            unit.session.execute(text("SELECT 1"))
            unit.invalidate("shop.row:a")
            with ThreadPoolExecutor(1) as pool:  # another reader, before the commit
                pool.submit(in_context(flask.current_app), shop.read, "a").result()
            shop.rows["a"] = "committed"
        assert shop.read("a") == "committed"

    def test_what_is_rolled_back_invalidates_nothing(
        self, uow: Callable[..., Any], shop: Shop
    ) -> None:
        shop.read("a")
        with suppress(RuntimeError), uow() as unit:
            unit.session.execute(text("SELECT 1"))
            unit.invalidate("shop.row:a")
            raise RuntimeError
        shop.read("a")
        assert shop.reads == 1


def in_context(app: flask.Flask) -> Callable[..., Any]:
    real: flask.Flask = app._get_current_object()  # type: ignore[attr-defined]

    def call(function: Callable[..., Any], *args: Any) -> Any:
        with real.app_context():
            return function(*args)

    return call


class TestBreaker:
    @pytest.fixture
    def now(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def breaker(self, now: list[float]) -> CircuitBreaker:
        return CircuitBreaker(failures=3, pause=2, clock=lambda: now[0])

    def test_opens_after_failures_in_a_row(self, breaker: CircuitBreaker) -> None:
        for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
            getattr(breaker, outcome)()
            assert breaker.allows()
        breaker.failed()
        assert not breaker.allows()

    def test_lets_one_caller_try_after_each_pause(
        self, breaker: CircuitBreaker, now: list[float]
    ) -> None:
        for _ in range(3):
            breaker.failed()
        now[0] = 2
        assert [breaker.allows(), breaker.allows()] == [True, False]
        breaker.failed()
        now[0] = 3
        assert not breaker.allows()
        now[0] = 4
        assert breaker.allows()
        breaker.succeeded()
        assert [breaker.allows(), breaker.allows()] == [True, True]


@pytest.mark.parametrize(
    "queue",
    [
        "unix:///run/broker.sock?db=0",
        "redis://localhost:6380",
        "redis://localhost:6379/0",
        "redis://localhost:6379/10",
        "rediss://:secret@localhost:6379/0?ssl_cert_reqs=none",
    ],
)
def test_the_cache_is_beside_the_queue_in_a_database_of_its_own(queue: str) -> None:
    def options(url: str) -> dict[str, object]:
        given = Redis.from_url(url).connection_pool.connection_kwargs
        return {
            name: given.get(name) for name in ("host", "port", "path", "password", "ssl_cert_reqs")
        }

    assert options(cache_url(queue)) == options(queue)
    assert Redis.from_url(cache_url(queue)).get_connection_kwargs()["db"] == 1
