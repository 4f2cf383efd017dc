"""Event streams: what was missed comes first, then what happens, each to whom it concerns."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from trellis.db import new_id
from trellis.runtime import Runtime
from trellis.stream import hub
from trellis.stream.asgi import front

Headers = dict[str, str]
SignIn = Callable[..., Headers]
Play = Callable[..., None]
Publish = Callable[..., Awaitable[None]]
Sequenced = Callable[[], Awaitable[None]]
Trim = Callable[[], Awaitable[None]]


# --- what is sent -------------------------------------------------------------------------------


def test_a_new_stream_tells_its_cursor_and_then_what_happens(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID
) -> None:
    async def scene(served: Any) -> None:
        phone = await served.connect(as_user(ada))
        assert phone.status == 200
        assert phone.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert phone.headers["cache-control"] == "no-store"
        assert await phone.lines() == {"retry": "2000", "id": "0"}
        await publish(ada, 3)
        cursor, data = await phone.event()
        assert cursor == 1
        assert set(data) == {"id", "type", "resource", "resource_id", "operation", "payload"}
        assert UUID(data.pop("id")).version == 7
        assert data == {
            "type": "core.note_shared/1",
            "resource": "note",
            "resource_id": "3",
            "operation": "created",
            "payload": {"number": 3, "reader_id": str(ada)},
        }

    play(scene)


def test_what_was_missed_comes_first_and_without_a_gap(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_PAGE", 3)

    async def scene(served: Any) -> None:
        first = await served.connect(as_user(ada))
        await publish(ada, 0)
        cursor, _ = await first.event()
        await first.leave()
        await publish(ada, *range(1, 8))
        second = await served.connect(as_user(ada), last=cursor)
        assert await second.numbers(7) == [1, 2, 3, 4, 5, 6, 7]
        await publish(ada, 8)
        assert await second.numbers(1) == [8]

    play(scene)


def test_nothing_is_missed_or_doubled_while_entries_keep_coming(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID
) -> None:
    async def scene(served: Any) -> None:
        async def write() -> None:
            for number in range(1, 61):
                await publish(ada, number)

        headers = as_user(ada)
        writing = asyncio.ensure_future(write())
        seen: list[int] = []
        cursor = 0
        while len(seen) < 60:
            phone = await served.connect(headers, last=cursor)
            for _ in range(min(7, 60 - len(seen))):
                cursor, data = await phone.event()
                seen.append(data["payload"]["number"])
            await phone.leave()
        await writing
        assert seen == list(range(1, 61))

    play(scene)


def test_each_sees_what_concerns_them_alone(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID
) -> None:
    bob = new_id()

    async def scene(served: Any) -> None:
        await publish(bob, 1)
        await publish(ada, 2)
        await publish(None, 3)
        adas = await served.connect(as_user(ada), last=0)
        bobs = await served.connect(as_user(bob), last=0)
        assert await adas.numbers(1) == [2]
        assert await bobs.numbers(1) == [1]
        await publish(None, 4)
        await publish(bob, 5)
        await publish(ada, 6)
        assert await adas.numbers(1) == [6]
        assert await bobs.numbers(1) == [5]

    play(scene)


def test_several_devices_of_one_person_get_the_same(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID
) -> None:
    async def scene(served: Any) -> None:
        phones = [await served.connect(as_user(ada)) for _ in range(3)]
        await publish(ada, 1, 2)
        assert [await phone.numbers(2) for phone in phones] == [[1, 2]] * 3

    play(scene)


def test_a_cursor_beyond_the_head_is_told_to_fetch_anew(
    play: Play, publish: Publish, sequenced: Sequenced, as_user: SignIn, ada: UUID
) -> None:
    """It comes from another life of the database."""

    async def scene(served: Any) -> None:
        await publish(ada, 1)
        await sequenced()
        await _until_known(served, 1)
        phone = await served.connect(as_user(ada), last=999_999)
        assert await phone.lines() == {
            "retry": "2000",
            "id": "1",
            "event": "core.resync",
            "data": '{"type": "core.resync", "reason": "unknown"}',
        }
        await publish(ada, 2)
        assert await phone.numbers(1) == [2]

    play(scene)


def test_a_cursor_whose_changes_are_gone_is_told_to_fetch_anew(
    play: Play, publish: Publish, sequenced: Sequenced, as_user: SignIn, ada: UUID, trim: Trim
) -> None:
    async def scene(served: Any) -> None:
        await publish(ada, 1, 2)
        await sequenced()
        await trim()
        await publish(ada, 3)
        await sequenced()
        await _until_known(served, 3)
        kept = await served.connect(as_user(ada), last=2)
        assert await kept.lines() == {"retry": "2000", "id": "2"}
        assert await kept.numbers(1) == [3]
        gone = await served.connect(as_user(ada), last=1)
        fields = await gone.lines()
        assert (fields["event"], fields["id"]) == ("core.resync", "3")
        assert json.loads(fields["data"])["reason"] == "too_old"
        await publish(ada, 4)
        assert await gone.numbers(1) == [4]

    play(scene)


async def _until_known(served: Any, position: int) -> None:
    async with asyncio.timeout(10):
        while served.streams._hub._position != position:  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.01)


def test_a_cursor_ahead_of_this_process_is_kept(
    play: Play, publish: Publish, sequenced: Sequenced, as_user: SignIn, ada: UUID
) -> None:
    """Another process has given out entries that this one's hub has still to see."""
    released = asyncio.Event()

    class Behind(hub.Hub):
        async def _follow(self) -> None:
            self._position = 0
            self._known.set()
            await released.wait()
            await super()._follow()

    async def scene(served: Any) -> None:
        await publish(ada, 1, 2)
        await sequenced()
        phone = await served.connect(as_user(ada), last=2)
        assert (await phone.lines())["id"] == "2"
        released.set()
        await publish(ada, 3)
        assert await phone.numbers(1) == [3]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trellis.stream.asgi.Hub", Behind)
        play(scene)


def test_pings_keep_an_idle_stream_open(
    play: Play, as_user: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_PING_SECONDS", 0.01)

    async def scene(served: Any) -> None:
        phone = await served.connect(as_user())
        await phone.lines()
        for _ in range(2):
            assert await phone.lines() == {"": "ping"}

    play(scene)


def test_it_goes_on_without_the_broker(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID, runtime: Runtime, monkeypatch: Any
) -> None:
    monkeypatch.setattr(hub, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(runtime, "redis_url", "redis://127.0.0.1:1")

    async def scene(served: Any) -> None:
        phone = await served.connect(as_user(ada))
        await publish(ada, 1)
        assert await phone.numbers(1) == [1]

    play(scene)


# --- who is let in ------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}])
def test_strangers_get_401(play: Play, headers: Headers) -> None:
    async def scene(served: Any) -> None:
        answer = await served.connect(headers)
        assert answer.status == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert "www-authenticate" in answer.headers
        assert (await answer.problem())["code"] == "core.unauthenticated"

    play(scene)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 19])
def test_what_is_no_cursor_gets_422(play: Play, as_user: SignIn, cursor: str) -> None:
    async def scene(served: Any) -> None:
        answer = await served.connect(as_user(), last=cursor)
        assert answer.status == 422
        [fault] = (await answer.problem())["errors"]
        assert (fault["location"], fault["pointer"]) == ("header", "/Last-Event-ID")

    play(scene)


def test_a_full_process_says_so_and_has_room_again_when_one_leaves(
    play: Play, as_user: SignIn, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = runtime.settings.core.model_copy(update={"stream_max_connections": 2})
    monkeypatch.setattr(runtime, "settings", dataclasses.replace(runtime.settings, core=core))

    async def scene(served: Any) -> None:
        first, second = [await served.connect(as_user()) for _ in range(2)]
        refused = await served.connect(as_user())
        assert refused.status == 503
        assert refused.headers["retry-after"] == "5"
        assert (await refused.problem())["code"] == "core.service_unavailable"
        await first.leave()
        assert (await served.connect(as_user())).status == 200
        assert not second.ended.done()

    play(scene)


def test_a_web_process_serves_no_stream(client: FlaskClient, as_user: SignIn) -> None:
    answer = client.get("/v1/stream", headers=as_user())
    assert (answer.status_code, answer.get_json()["code"]) == (503, "core.service_unavailable")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/stream", 405), ("GET", "/v1/nothing", 404), ("GET", "/health/live", 200)],
)
def test_a_stream_process_answers_the_rest_like_any_other(
    play: Play, method: str, path: str, status: int
) -> None:
    async def scene(served: Any) -> None:
        answer = await served.connect({}, method=method, path=path)
        assert answer.status == status
        assert "x-request-id" in answer.headers

    play(scene)


def test_a_front_serves_streams_and_the_api_at_one_address(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID
) -> None:
    async def scene(served: Any) -> None:
        phone = await served.connect(as_user(ada))
        health = await served.connect({}, path="/health/live")
        assert health.status == 200
        assert await health.problem() == {"status": "ok"}
        await publish(ada, 1)
        assert await phone.numbers(1) == [1]

    play(scene, front)
