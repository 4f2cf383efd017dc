"""What the front owes the bridge to Flask: bodies that end, and addresses that it can read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from trellis.stream import asgi
from trellis.stream.asgi import front

Play = Callable[..., None]

_JSON = {"content-type": "application/json", "content-length": "100"}


def test_a_body_that_stops_coming_gives_its_thread_back(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "_SILENT_SECONDS", 0.05)

    async def scene(served: Any) -> None:
        silent = [
            served.connect(_JSON, method="POST", path="/v1/auth/tokens")
            for _ in range(20)  # more than there are threads
        ]
        phones = await asyncio.gather(*silent)
        assert {phone.status for phone in phones} == {408}
        assert (await phones[0].problem())["code"] == "core.http_error"
        assert (await served.connect({}, path="/health/live")).status == 200

    play(scene, front)


def test_a_body_that_is_cut_off_is_not_read_as_the_whole(play: Play) -> None:
    async def scene(served: Any) -> None:
        opening = asyncio.ensure_future(
            served.connect(_JSON, method="POST", path="/v1/auth/tokens")
        )
        await asyncio.sleep(0)  # it has begun then
        served.phones[0].hang_up()
        phone = await opening
        assert phone.status == 400
        assert (await phone.problem())["code"] == "core.bad_request"

    play(scene, front)


@pytest.mark.parametrize("path", ["/health/live", asgi.PATH])
def test_a_query_may_hold_letters_that_nobody_escaped(play: Play, path: str) -> None:
    async def scene(served: Any) -> None:
        answer = await served.connect({}, path=path, query_string="grüße=ä%20&b".encode())
        assert answer.status == (200 if path == "/health/live" else 401)

    play(scene, front)
