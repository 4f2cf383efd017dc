"""What the plugin holds of a person, given out and erased."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from trellis.contracts import Mailbox, Messenger, PushSink
from trellis.local.mailbox import Mailbox as LocalMailbox
from trellis.local.push_sink import PushSink as LocalPushSink
from trellis.privacy import request_erasure
from trellis.privacy.erasure import erase_part
from trellis.unit_of_work import unit_of_work
from trellis_notifications import services

NewId = Callable[[], UUID]
Register = Callable[..., None]
RunTasks = Callable[..., list[str]]


def live(messenger: Messenger, register: Register, run_tasks: RunTasks, **people: UUID) -> None:
    """Everything that can be held of each person: delivered, and waiting."""
    for name, user_id in people.items():
        register(user_id, f"phone-{name}", "ios", f"token-{name}")
        messenger.send(user_id, "k", f"title {name}", f"body {name}", {"who": name}, dedupe=name)
        messenger.mail(f"{name}@example.com", "Delivered", f"text {name}", subject_id=user_id)
        services.unread_count(user_id)
    run_tasks()
    for name, user_id in people.items():
        messenger.send(user_id, "k", f"waiting {name}", f"body {name}", {})
        messenger.mail(f"{name}@example.com", "Waiting", f"secret of {name}", subject_id=user_id)


def test_export_gives_out_what_is_held(
    messenger: Messenger,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    grace, bob = new_user_id(), new_user_id()
    live(messenger, register, run_tasks, grace=grace, bob=bob)
    given = services.export_user(grace)
    text = json.dumps(given)
    assert [message["title"] for message in given["messages"]] == ["title grace", "waiting grace"]
    assert [device["push_token"] for device in given["devices"]] == ["token-grace"]
    assert [mail["subject"] for mail in given["mails"]] == ["Waiting"]
    assert "bob" not in text
    assert "secret of grace" not in text


def test_erasure_leaves_nothing_of_one_and_all_of_the_other(
    stored: Callable[[], str],
    messenger: Messenger,
    mailbox: LocalMailbox,
    push_sink: LocalPushSink,
    run_tasks: RunTasks,
    new_user_id: NewId,
    register: Register,
) -> None:
    grace, bob = new_user_id(), new_user_id()
    live(messenger, register, run_tasks, grace=grace, bob=bob)
    before = services.export_user(bob)

    assert services.erase_user(grace) == {
        "messages": 2,
        "devices": 1,
        "mails": 1,
        "shown_mails": 1,
        "shown_pushes": 1,
    }
    assert not any(services.erase_user(grace).values())
    run_tasks()

    assert services.export_user(grace) == {"messages": [], "devices": [], "mails": []}
    assert mailbox.mails(str(grace)) == []
    assert push_sink.pushes(str(grace)) == []
    assert bob.hex in stored().replace("-", "")
    assert grace.hex not in stored().replace("-", "")
    assert "grace" not in stored()

    after = services.export_user(bob)
    assert (after["messages"], after["devices"]) == (before["messages"], before["devices"])
    assert len(mailbox.mails("bob@example.com")) == 2


def test_erasure_needs_no_local_sinks(
    ports: dict[Any, Any],
    messenger: Messenger,
    run_tasks: RunTasks,
    new_user_id: NewId,
    monkeypatch: pytest.MonkeyPatch,
    register: Register,
) -> None:
    grace = new_user_id()
    live(messenger, register, run_tasks, grace=grace)
    monkeypatch.delitem(ports, Mailbox)
    monkeypatch.delitem(ports, PushSink)
    assert services.erase_user(grace)["messages"] == 2


def test_what_another_plugin_sends_while_it_is_still_to_be_erased_goes_too(
    messenger: Messenger, run_tasks: RunTasks, new_user_id: NewId, feed: Callable[[], list[Any]]
) -> None:
    grace = new_user_id()
    with unit_of_work() as uow:
        erasure_id = request_erasure(uow, grace)
    erase_part(erasure_id, "notifications")

    messenger.send(grace, "media.photo_ready", "Ready", "Look", {})
    messenger.mail("grace@example.com", "Ready", "Look", subject_id=grace)
    run_tasks()

    assert services.export_user(grace) == {"messages": [], "devices": [], "mails": []}
    assert feed() == []


class Slow:
    """A sink so slow in `put` that an erasure which does not wait for it ends before it."""

    def __init__(self, sink: Any) -> None:
        self.sink = sink
        self.putting, self.erased = threading.Event(), threading.Event()

    def put(self, thing: Any) -> None:
        self.putting.set()
        self.erased.wait(0.5)
        self.sink.put(thing)

    def erase(self, person: str) -> int:
        return int(self.sink.erase(person))


@pytest.mark.parametrize("port", [Mailbox, PushSink])
def test_a_delivery_under_way_leaves_nothing_behind(
    app: Flask,
    ports: dict[Any, Any],
    messenger: Messenger,
    run_tasks: RunTasks,
    new_user_id: NewId,
    monkeypatch: pytest.MonkeyPatch,
    port: type[Any],
    register: Register,
) -> None:
    grace = new_user_id()
    register(grace, "phone", "ios", "token")
    if port is Mailbox:
        messenger.mail("grace@example.com", "Hello", "Hello", subject_id=grace)
    else:
        messenger.send(grace, "k", "Hello", "Hello", {})
    slow = Slow(ports[port])
    monkeypatch.setitem(ports, port, slow)

    def erase() -> None:
        assert slow.putting.wait(10)
        with app.app_context():
            services.erase_user(grace)
        slow.erased.set()

    erasing = threading.Thread(target=erase)
    erasing.start()
    run_tasks()
    erasing.join(20)

    shown = slow.sink.mails() if port is Mailbox else slow.sink.pushes()
    assert shown == []
    assert services.export_user(grace) == {"messages": [], "devices": [], "mails": []}
