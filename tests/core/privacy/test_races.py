"""What a person sends, and what is done for them, at the very moment of their erasure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from tests.conftest import Declare
from tests.locks import Pause, race
from tests.processes import PATIENCE

from trellis.contracts import Identity, Messenger, port
from trellis.db import fetch_value, new_id
from trellis.jobs.run import run
from trellis.outbox.lease import claim_fresh
from trellis.privacy import erasure, request_erasure
from trellis.privacy.models import Erasure
from trellis.runtime import PersonalDataRooms, Runtime
from trellis.unit_of_work import unit_of_work
from trellis_auth import factories
from trellis_demo import phone

RunTasks = Callable[..., list[str]]

EVENT = {"id": "1", "name": "opened", "occurred_at": "2026-11-22T12:00:00Z", "properties": {}}
SENT: dict[str, Callable[[], tuple[str, str, dict[str, Any]]]] = {
    "events": lambda: ("POST", "/v1/analytics/events", {"json": {"events": [EVENT]}}),
    "photo": lambda: (
        "POST",
        "/v1/media/assets",
        {"data": {"file": (BytesIO(phone.PHOTO.read_bytes()), "photo.jpg", "image/jpeg")}},
    ),
    "device": lambda: (
        "PUT",
        "/v1/notifications/devices/phone-1",
        {"json": {"platform": "ios", "push_token": "token"}},
    ),
}


class PausingIdentity:
    """The installed one, but whoever it lets in within a unit of work stops there."""

    def __init__(self, installed: Identity, pause: Pause) -> None:
        self._installed, self._pause = installed, pause

    def is_alive(self, *who: Any) -> bool:
        alive = self._installed.is_alive(*who)
        self._pause.here()
        return alive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._installed, name)


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


@pytest.mark.postgresql_only
@pytest.mark.parametrize("what", SENT)
def test_what_was_let_in_before_the_account_closed_is_erased_too(
    what: str, app: Flask, runtime: Runtime, run_tasks: RunTasks, stored: Callable[[], str]
) -> None:
    with app.app_context():
        [ada] = factories.users(1, seed=1)
        [tokens] = factories.sessions([ada], seed=1)
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    pause = Pause()
    runtime.ports[Identity] = PausingIdentity(runtime.ports[Identity], pause)  # type: ignore[arg-type]

    def send() -> int:
        method, path, body = SENT[what]()
        return app.test_client().open(path, method=method, headers=headers, **body).status_code

    def close() -> int:
        body = {"password": factories.PASSWORD}
        return app.test_client().delete("/v1/auth/account", headers=headers, json=body).status_code

    with race(app, pause) as threads:
        sending = threads.start(send)
        pause.reached()
        closing = threads.start(close)
        threads.settle(closing.done)
        if closing.done():
            run_tasks()
        pause.release()
        assert sending.result() < 300
        assert closing.result() == 202
    run_tasks()
    held = [line for line in stored().splitlines() if str(ada) in line or ada.hex in line]
    assert held == []
    with app.app_context():
        assert fetch_value(select(Erasure.completed_at)) is not None


@pytest.mark.postgresql_only
def test_work_that_ends_during_the_last_look_leaves_nothing(
    app: Flask,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    declare_task: Declare,
    run_tasks: RunTasks,
    stored: Callable[[], str],
) -> None:
    """A task for the person writes into a table that the last look has passed already."""
    ada, looking, over = new_id(), Event(), Event()
    plugins = list(runtime.personal_data)

    with race(app) as threads, app.app_context():

        def thank(user_id: str) -> None:
            port(Messenger).send(UUID(user_id), "thanks", "Thank you", "Come again.", {})
            threads.start(erase)
            assert looking.wait(PATIENCE)

        def erase() -> None:
            for plugin in (*plugins, erasure.CORE):
                erasure.erase_part(erasure_id, plugin)

        def look(user_id: UUID) -> Mapping[str, int]:
            looking.set()
            threads.settle(over.is_set)
            return {}

        declare_task(thank)
        with unit_of_work() as uow:
            uow.enqueue("core.thank", subject=ada, user_id=str(ada))
            erasure_id = request_erasure(uow, ada)
        last = PersonalDataRooms(export=lambda user_id: {}, erase=look)
        monkeypatch.setitem(runtime.personal_data, "last", last)
        [thanks] = [held for held in claim_fresh("light", 50) if held.task == "core.thank"]
        run(thanks)
        over.set()
    run_tasks()
    assert str(ada) not in stored()
    assert ada.hex not in stored()


@pytest.mark.parametrize("_again", range(3))
def test_parts_that_end_at_once_start_the_last_one_once(
    _again: int, app: Flask, runtime: Runtime
) -> None:
    with app.app_context():
        with unit_of_work() as uow:
            erasure_id = request_erasure(uow, new_id())
        assert len(claim_fresh("light", 50)) == len(runtime.personal_data)
    with race(app) as threads:
        parts = [
            threads.start(erasure.erase_part, erasure_id, name) for name in runtime.personal_data
        ]
        for part in parts:
            part.result()
    with app.app_context():
        assert [held.arguments["plugin"] for held in claim_fresh("light", 50)] == [erasure.CORE]
        left = [part.plugin for part in erasure.state(erasure_id).parts if not part.completed_at]
        assert left == [erasure.CORE]
