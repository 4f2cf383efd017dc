"""Pushes: to each device of the user as it is when the push is sent, and to nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from trellis.contracts import Messenger, Principal, PushSink
from trellis.db import Model, fetch_all
from trellis.errors import NotFound, Unauthenticated
from trellis.local.push_sink import PushSink as LocalPushSink
from trellis.outbox.models import OutboxRow
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_notifications import factories, services
from trellis_notifications.models import Registration

NewId = Callable[[], UUID]
Count = Callable[[type[Model]], int]
Register = Callable[..., None]
RunTasks = Callable[..., list[str]]


def send(messenger: Messenger, user_id: UUID) -> UUID:
    return messenger.send(user_id, "media.photo_ready", "Ready", "Look", {"asset_id": "1"})


def registered() -> list[tuple[Any, ...]]:
    rows = fetch_all(
        select(
            Registration.user_id, Registration.installation_id, Registration.push_token
        ).order_by(Registration.user_id, Registration.installation_id)
    )
    return [tuple(row) for row in rows]


def test_a_push_arrives_at_each_device(
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada, bob = new_user_id(), new_user_id()
    register(ada, "phone", "ios", "token-1")
    register(ada, "tablet", "android", "token-2")
    register(bob, "phone", "ios", "token-3")

    message_id = send(messenger, ada)
    run_tasks()

    pushes = sorted((shown.push for shown in push_sink.pushes()), key=lambda p: p["push_token"])
    assert [(p["installation_id"], p["platform"], p["push_token"]) for p in pushes] == [
        ("phone", "ios", "token-1"),
        ("tablet", "android", "token-2"),
    ]
    first = pushes[0]
    assert (UUID(first["id"]), first["message_id"]) == (UUID(first["id"]), str(message_id))
    assert (first["user_id"], first["title"], first["body"], first["data"]) == (
        str(ada),
        "Ready",
        "Look",
        {"asset_id": "1"},
    )
    assert datetime.fromisoformat(first["sent_at"]).tzinfo is not None
    assert len({p["id"] for p in pushes}) == 2


def test_a_push_keeps_its_id_over_attempts(
    tmp_path: Path,
    ports: dict[Any, Any],
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    make_due: Callable[[], None],
    new_user_id: NewId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[str] = []

    class Unreliable(LocalPushSink):
        def put(self, push: Any) -> None:
            push_sink.put(push)
            attempts.append(push["id"])
            if len(attempts) < 3:
                raise ConnectionResetError

    monkeypatch.setitem(ports, PushSink, Unreliable(tmp_path))
    ada = new_user_id()
    factories.registrations(ada, 1)
    send(messenger, ada)
    for _ in range(4):
        run_tasks(failures=True)
        make_due()
    assert len(attempts) == 3
    assert len(set(attempts)) == 1


def test_a_device_that_left_gets_no_push_that_waits(
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    register(ada, "phone", "ios", "token-1")
    send(messenger, ada)
    services.unregister(ada, "phone")
    assert run_tasks() == ["notifications.push"]
    assert push_sink.pushes() == []


def test_a_push_that_waits_goes_to_the_devices_new_token(
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    register(ada, "phone", "ios", "token-old")
    send(messenger, ada)
    register(ada, "phone", "ios", "token-new")
    run_tasks()
    assert [shown.push["push_token"] for shown in push_sink.pushes()] == ["token-new"]


def test_a_token_belongs_to_one_account(
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    """C-08."""
    ada, bob = new_user_id(), new_user_id()
    register(ada, "shared-phone", "ios", "token")
    for_ada = send(messenger, ada)
    register(bob, "shared-phone", "ios", "token")
    for_bob = send(messenger, bob)

    run_tasks()

    assert registered() == [(bob, "shared-phone", "token")]
    pushes = [shown.push for shown in push_sink.pushes()]
    assert [(p["message_id"], p["user_id"]) for p in pushes] == [(str(for_bob), str(bob))]
    assert str(for_ada) not in str(pushes)
    with pytest.raises(NotFound):
        services.unregister(ada, "shared-phone")


def test_a_token_moves_between_installations_of_one_account(
    app_context: None,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    register(ada, "before-reinstall", "ios", "token")
    register(ada, "after-reinstall", "ios", "token")
    register(ada, "after-reinstall", "ios", "token")
    assert registered() == [(ada, "after-reinstall", "token")]


def test_two_devices_that_swap_tokens_keep_one_each(
    app_context: None,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    register(ada, "one", "ios", "token-1")
    register(ada, "two", "ios", "token-2")
    register(ada, "one", "ios", "token-2")
    assert registered() == [(ada, "one", "token-2")]
    register(ada, "two", "ios", "token-1")
    assert registered() == [(ada, "one", "token-2"), (ada, "two", "token-1")]


def test_many_accounts_that_take_one_token_at_once(
    app: Flask,
    new_user_id: NewId,
    register: Register,
) -> None:
    users = [new_user_id() for _ in range(8)]
    together = threading.Barrier(len(users))

    def take(user_id: UUID) -> None:
        with app.app_context():
            together.wait(10)
            register(user_id, "phone", "ios", "token")

    with ThreadPoolExecutor(len(users)) as threads:
        list(threads.map(take, users))

    with app.app_context():
        ((owner, *_),) = registered()
        assert owner in users


def test_one_installation_that_registers_many_tokens_at_once(
    app: Flask,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    together = threading.Barrier(8)

    def take(number: int) -> None:
        with app.app_context():
            together.wait(10)
            register(ada, "phone", "ios", f"token-{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, range(8)))

    with app.app_context():
        assert len(registered()) == 1


# --- signing out ----------------------------------------------------------------------------------


def end_session(runtime: Runtime, user_id: UUID, device_id: str | None) -> None:
    """Publish what the accounts plugin publishes, without importing it."""
    names: dict[str, Any] = {name: event for event, name in runtime.event_types.items()}
    event = names["auth.session_ended/1"]
    with unit_of_work() as uow:
        uow.publish(event(session_id=UUID(int=1), user_id=user_id, device_id=device_id))


def test_signing_out_stops_the_pushes_to_that_device(
    runtime: Runtime,
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    """C-08."""
    ada, bob = new_user_id(), new_user_id()
    register(ada, "phone", "ios", "token-1")
    register(ada, "tablet", "ios", "token-2")
    register(bob, "phone", "ios", "token-3")

    end_session(runtime, ada, "phone")
    assert run_tasks() == ["notifications.forget_device"]
    assert registered() == [(ada, "tablet", "token-2"), (bob, "phone", "token-3")]

    send(messenger, ada)
    run_tasks()
    assert [shown.push["installation_id"] for shown in push_sink.pushes()] == ["tablet"]


def test_a_session_without_a_device_stops_no_pushes(
    runtime: Runtime,
    run_tasks: RunTasks,
    app_context: None,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    register(ada, "phone", "ios", "token-1")
    end_session(runtime, ada, None)
    run_tasks()
    assert len(registered()) == 1


def test_news_of_an_old_session_leaves_the_next_ones_registration(
    runtime: Runtime,
    run_tasks: RunTasks,
    app_context: None,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    end_session(runtime, ada, "phone")
    with unit_of_work() as uow:  # the phone signs in again before the news is delivered
        register(ada, "phone", "ios", "token-1")
        later = datetime.now(UTC) + timedelta(seconds=1)
        uow.session.execute(update(Registration).values(registered_at=later))
    run_tasks()
    assert len(registered()) == 1


def test_a_registration_under_way_when_the_session_ends_is_refused(
    app_context: None, new_user_id: NewId
) -> None:
    with pytest.raises(Unauthenticated):
        services.register(Principal(new_user_id(), "user"), "phone", "ios", "token-1")
    assert registered() == []


def test_the_same_news_twice_is_harmless(
    runtime: Runtime,
    run_tasks: RunTasks,
    app_context: None,
    new_user_id: NewId,
    register: Register,
) -> None:
    ada = new_user_id()
    register(ada, "phone", "ios", "token-1")
    for _ in range(2):
        end_session(runtime, ada, "phone")
    assert run_tasks() == ["notifications.forget_device"] * 2
    assert registered() == []


def test_a_push_of_an_erased_person_is_no_fault(
    messenger: Messenger,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
) -> None:
    ada = new_user_id()
    factories.registrations(ada, 2)
    send(messenger, ada)
    services.erase_user(ada)
    assert run_tasks() == ["notifications.push"] * 2
    assert push_sink.pushes() == []
    assert not fetch_all(select(OutboxRow.id).where(OutboxRow.error.is_not(None)))
