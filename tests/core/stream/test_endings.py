"""How a stream ends: with the session, with the process, and for whoever reads too slowly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from trellis.contracts import Identity, Principal
from trellis.db import new_id
from trellis.runtime import Runtime
from trellis.stream import connection, guard
from trellis.stream.threads import Threads
from trellis.testing.identity import IssuedIdentity

Headers = dict[str, str]
SignIn = Callable[..., Headers]
Play = Callable[..., None]
Publish = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("busy", [False, True])
def test_a_stream_ends_with_the_session(
    play: Play,
    publish: Publish,
    as_user: SignIn,
    ada: UUID,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    busy: bool,
) -> None:
    monkeypatch.setattr(guard, "_PAUSE_SECONDS", 0.2)
    asked = threading.Event()
    alive = True

    class Revocable(IssuedIdentity):
        def alive(self, principals: Collection[Principal]) -> set[Principal]:
            if principals:
                asked.set()
            return set(principals) if alive else set()

    async def scene(served: Any) -> None:
        nonlocal alive
        loop = asyncio.get_running_loop()
        phone = await served.connect(as_user(ada))
        assert await asyncio.to_thread(asked.wait, 10)
        assert not phone.ended.done()  # it was asked, and is still let in
        alive = False
        until = loop.time() + 8
        while busy and not phone.ended.done():
            assert loop.time() < until, "a busy stream was not asked"
            await publish(ada, 1)
        await asyncio.wait_for(phone.ended, 10)

    identity: Any = runtime.ports[Identity]
    runtime.ports[Identity] = Revocable(identity)
    play(scene)


def test_those_who_have_to_be_sure_wait_for_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    answered = threading.Event()

    def alive(principals: Collection[Principal]) -> set[Principal]:
        asked.append(len(principals))
        assert answered.wait(10)
        return set(principals)

    async def scene() -> None:
        threads = Threads(1, "guard")
        connections: Any = [SimpleNamespace(principal=Principal(new_id(), "user"))]
        watching = guard.Guard(threads, connections)
        sure = [asyncio.create_task(watching.be_sure()) for _ in range(3)]
        _, waiting = await asyncio.wait(sure, timeout=0.05)
        assert len(waiting) == 3
        answered.set()
        await asyncio.gather(*sure)
        await threads.end()

    monkeypatch.setattr(guard, "_alive", alive)
    asyncio.run(scene())
    assert asked == [1]


# One entry is being sent and five wait: the eighth is the first for which there is no room.
@pytest.mark.parametrize("newest", [8, 9, 12, 20])
def test_a_slow_reader_is_closed_and_resumes_without_a_gap(
    play: Play,
    publish: Publish,
    as_user: SignIn,
    ada: UUID,
    monkeypatch: pytest.MonkeyPatch,
    newest: int,
) -> None:
    monkeypatch.setattr(connection, "_BACKLOG", 5)

    async def scene(served: Any) -> None:
        headers = as_user(ada)
        slow, quick = await served.connect(headers), await served.connect(headers)
        await publish(ada, 1)
        assert await slow.numbers(1) == [1]
        slow.reads.clear()
        assert await quick.numbers(1) == [1]
        for number in range(2, newest + 1):
            await publish(ada, number)
            assert await quick.numbers(1) == [number]
        slow.reads.set()
        came = [int(fields["id"]) for fields in await slow.rest()]
        assert came == list(range(2, 2 + len(came)))
        again = await served.connect(headers, last=max(came, default=1))
        missed = list(range(2 + len(came), newest + 1))
        assert await again.numbers(len(missed)) == missed

    play(scene)


def test_a_stop_ends_every_stream(play: Play, publish: Publish, as_user: SignIn, ada: UUID) -> None:
    async def scene(served: Any) -> None:
        phones = [await served.connect(as_user(ada)) for _ in range(3)]
        await publish(ada, 1)
        assert [await phone.numbers(1) for phone in phones] == [[1]] * 3
        await served.stop()
        assert [await phone.rest() for phone in phones] == [[]] * 3

    play(scene)


def test_who_leaves_is_forgotten(play: Play, publish: Publish, as_user: SignIn, ada: UUID) -> None:
    async def scene(served: Any) -> None:
        phone = await served.connect(as_user(ada))
        assert len(served.streams._hub._connections) == 1
        await phone.leave()
        assert served.streams._hub._connections == set()
        assert served.streams._hub._by_audience == {}
        await publish(ada, 1)

    play(scene)
