"""Sending a message: one row, one event, one push for each device, or nothing at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from trellis.contracts import Messenger, PushSink, port
from trellis.db import Model
from trellis.errors import NotFound
from trellis.unit_of_work import unit_of_work
from trellis_notifications import factories, services
from trellis_notifications.errors import InvalidMessage
from trellis_notifications.models import Message

NewId = Callable[[], UUID]
Count = Callable[[type[Model]], int]
Events = Callable[[], list[dict[str, Any]]]
Names = Callable[[], list[str]]


def send(messenger: Messenger, user_id: UUID, **changed: Any) -> UUID:
    message: dict[str, Any] = {
        "kind": "media.photo_ready",
        "title": "Your photo is ready",
        "body": "Tap to look at it.",
        "data": {"asset_id": "1"},
    }
    return messenger.send(user_id, **{**message, **changed})


def test_a_message_comes_with_its_event_and_a_push_for_each_device(
    messenger: Messenger, new_user_id: NewId, outbox: Names, feed: Events
) -> None:
    ada, bob = new_user_id(), new_user_id()
    factories.registrations(ada, 2)
    factories.registrations(bob, 1)

    message_id = send(messenger, ada)

    assert outbox() == ["notifications.push"] * 2
    assert feed() == [
        {
            "type": "notifications.message_created/1",
            "audience": f"user:{ada}",
            "payload": {
                "message_id": str(message_id),
                "user_id": str(ada),
                "kind": "media.photo_ready",
            },
        }
    ]
    row = services.get_message(ada, message_id)
    assert (row.title, row.body, row.data) == (
        "Your photo is ready",
        "Tap to look at it.",
        {"asset_id": "1"},
    )
    assert row.read_at is None


def test_a_unit_that_rolls_back_sends_nothing(
    messenger: Messenger, new_user_id: NewId, outbox: Names, feed: Events, count: Count
) -> None:
    ada = new_user_id()
    factories.registrations(ada, 1)

    def fail() -> None:
        with unit_of_work():
            send(messenger, ada)
            messenger.mail("ada@example.com", "Hello", "Hello Ada", subject_id=ada)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()

    assert (count(Message), outbox(), feed()) == (0, [], [])
    assert services.unread_count(ada) == 0


def test_the_same_dedupe_is_one_message(
    messenger: Messenger, new_user_id: NewId, outbox: Names, feed: Events
) -> None:
    ada, bob = new_user_id(), new_user_id()
    factories.registrations(ada, 1)

    first = send(messenger, ada, dedupe="asset:1")
    second = send(messenger, ada, dedupe="asset:1", title="Another title")
    others = send(messenger, bob, dedupe="asset:1")

    assert first == second != others
    assert len(feed()) == 2
    assert outbox() == ["notifications.push"]


def test_without_dedupe_each_is_a_message(messenger: Messenger, new_user_id: NewId) -> None:
    ada = new_user_id()
    assert send(messenger, ada) != send(messenger, ada)
    assert services.unread_count(ada) == 2


def test_the_same_dedupe_from_many_threads_is_one_message(
    app: Flask, new_user_id: NewId, outbox: Names, feed: Events, count: Count
) -> None:
    ada = new_user_id()
    with app.app_context():
        factories.registrations(ada, 1)
    together = threading.Barrier(8)

    def deliver(_: int) -> UUID:
        with app.app_context():
            together.wait(10)
            return send(port(Messenger), ada, dedupe="asset:1")

    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(deliver, range(8)))

    assert len(ids) == 1
    assert (count(Message), len(feed()), outbox()) == (1, 1, ["notifications.push"])


def test_without_anybody_who_pushes_no_push_waits(
    ports: dict[Any, Any],
    messenger: Messenger,
    new_user_id: NewId,
    outbox: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada = new_user_id()
    factories.registrations(ada, 1)
    monkeypatch.delitem(ports, PushSink)
    send(messenger, ada)
    assert outbox() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "k" * 101},
        {"title": "t" * 201},
        {"body": "b" * 1001},
        {"dedupe": "d" * 201},
        {"title": "half a character: \ud800"},
        {"body": "NUL: \x00"},
        {"data": {"asset": UUID(int=1)}},
        {"data": {"number": float("nan")}},
        {"data": {"text": "\ud800"}},
        {"data": {"text": "x" * 2000}},
    ],
)
def test_what_cannot_be_kept_or_pushed_is_refused(
    messenger: Messenger, new_user_id: NewId, count: Count, changed: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessage):
        send(messenger, new_user_id(), **changed)
    assert count(Message) == 0


def test_the_largest_message_is_kept_whole(messenger: Messenger, new_user_id: NewId) -> None:
    ada = new_user_id()
    largest = {"kind": "k" * 100, "title": "\N{GRINNING FACE}" * 200, "body": "é" * 1000}
    row = services.get_message(ada, send(messenger, ada, **largest, dedupe="d" * 200))
    assert {name: getattr(row, name) for name in largest} == largest


def test_unread_count_follows_every_change(messenger: Messenger, new_user_id: NewId) -> None:
    ada, bob = new_user_id(), new_user_id()
    assert services.unread_count(ada) == 0
    first, _ = send(messenger, ada), send(messenger, ada)
    assert services.unread_count(ada) == 2
    for _ in range(2):
        services.mark_read(ada, first)
        assert services.unread_count(ada) == 1
    with pytest.raises(NotFound):
        services.mark_read(bob, first)
    factories.messages(ada, 3)
    assert services.unread_count(ada) == 4
    services.erase_user(ada)
    assert services.unread_count(ada) == 0


def test_reading_twice_keeps_the_first_time(messenger: Messenger, new_user_id: NewId) -> None:
    ada = new_user_id()
    message_id = send(messenger, ada)
    services.mark_read(ada, message_id)
    read_at = services.get_message(ada, message_id).read_at
    services.mark_read(ada, message_id)
    assert services.get_message(ada, message_id).read_at == read_at is not None


def test_populating_is_the_same_for_one_seed(app_context: None, new_user_id: NewId) -> None:
    people = [new_user_id() for _ in range(3)]
    factories.populate(people, seed=1)
    assert [services.unread_count(person) for person in people] == [30, 30, 30]
    devices = [services.export_user(person)["devices"] for person in people]
    assert [len(of_one) for of_one in devices] == [1, 1, 1]
    with pytest.raises(IntegrityError):
        factories.populate(people, seed=1)


def test_factories_repeat_themselves(app_context: None, new_user_id: NewId) -> None:
    def shown(user_id: UUID) -> list[tuple[Any, ...]]:
        page = services.list_messages(user_id, unread=False, cursor=None, limit=10)
        return [(row.kind, row.title, row.body, row.data) for row in page.items]

    ada, bob = new_user_id(), new_user_id()
    assert len(factories.messages(ada, 5, seed=7)) == 5
    factories.messages(bob, 5, seed=7)
    assert shown(ada) == shown(bob)
    factories.messages(bob, 1, seed=8)
    assert len(factories.registrations(ada, 3, seed=7)) == 3
