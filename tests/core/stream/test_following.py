"""How the hub follows the feed: it passes nothing over, whatever others do, tell, or fail to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio.client import PubSub
from tests.core.stream.conftest import NoteShared

from trellis.feed.sequencer import sequence
from trellis.runtime import Runtime
from trellis.stream import hub
from trellis.unit_of_work import unit_of_work

Headers = dict[str, str]
SignIn = Callable[..., Headers]
Play = Callable[..., None]
Publish = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("look", ["sequence", "entries_after", "head"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_g01_what_another_process_sequences_between_two_looks_is_not_passed_over(
    play: Play,
    publish: Publish,
    as_user: SignIn,
    ada: UUID,
    monkeypatch: pytest.MonkeyPatch,
    look: str,
    when: str,
) -> None:
    """Each look at the feed has another process give an entry its position just then."""
    real, left = getattr(hub, look), 0

    def another_process() -> None:
        nonlocal left
        if left:
            left -= 1
            with unit_of_work() as uow:
                uow.publish(NoteShared(100 - left, ada))
            sequence()

    def looked_at(*arguments: Any) -> Any:
        if when == "before":
            another_process()
        found = real(*arguments)
        if when == "after":
            another_process()
        return found

    async def scene(served: Any) -> None:
        nonlocal left
        phone = await served.connect(as_user(ada))
        await phone.lines()
        left = 3
        assert await phone.numbers(3) == [98, 99, 100]
        await publish(ada, 101)
        assert await phone.numbers(1) == [101]

    monkeypatch.setattr(hub, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(hub, look, looked_at)
    play(scene)


def test_what_nobody_tells_of_is_found_all_the_same(
    play: Play, publish: Publish, as_user: SignIn, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wake-up was lost: its sender was killed, or what we subscribed to is silent."""
    monkeypatch.setattr("trellis.jobs.announcer.Announcer.announce", lambda *_, **__: None)

    async def scene(served: Any) -> None:
        phone = await served.connect(as_user(ada))
        for number in range(3):
            await publish(ada, number)
            assert await phone.numbers(1) == [number]

    play(scene)


@pytest.mark.parametrize("fails", ["sequence", "entries_after", "wake_feed", "entry_text"])
def test_following_outlives_whatever_is_raised(
    play: Play,
    publish: Publish,
    as_user: SignIn,
    ada: UUID,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    real, left = getattr(hub, fails), 0

    def failing(*arguments: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("a fault that nobody knew of")
        return real(*arguments)

    async def scene(served: Any) -> None:
        nonlocal left
        phone = await served.connect(as_user(ada))
        left = 2
        await publish(ada, 1)
        assert await phone.numbers(1) == [1]
        await publish(ada, 2)
        assert await phone.numbers(1) == [2]

    monkeypatch.setattr(hub, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(hub, fails, failing)
    play(scene)


def test_wake_ups_are_heard_again_after_whatever_was_raised(
    play: Play,
    publish: Publish,
    as_user: SignIn,
    ada: UUID,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two looks there is an hour, so what arrives was told."""
    subscribed, real, left = asyncio.Event(), PubSub.subscribe, 2

    async def subscribe(*arguments: Any) -> None:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("a fault that nobody knew of")
        await real(*arguments)
        subscribed.set()

    async def scene(served: Any) -> None:
        phone = await served.connect(as_user(ada))
        await asyncio.wait_for(subscribed.wait(), 20)
        monkeypatch.setattr(hub, "_POLL_SECONDS", 3600.0)
        for number in range(3):  # the first one may still be found by a look
            await publish(ada, number)
            assert await phone.numbers(1) == [number]

    monkeypatch.setattr(hub, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(PubSub, "subscribe", subscribe)
    play(scene)
