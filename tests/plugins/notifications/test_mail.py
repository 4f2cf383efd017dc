"""Mail in the local mailbox: encrypted while it waits, forgotten when delivered or too old."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from trellis.contracts import Messenger
from trellis.db import Model, fetch_all, fetch_value
from trellis.jobs.limits import TurnOver, time_limit
from trellis.local.mailbox import Mailbox as LocalMailbox
from trellis.outbox.models import OutboxRow
from trellis.runtime import Runtime
from trellis_notifications import services
from trellis_notifications.errors import InvalidMail
from trellis_notifications.models import Mail
from trellis_notifications.services.smtp import MailNotTakenError

NewId = Callable[[], UUID]
Count = Callable[[type[Model]], int]
Names = Callable[[], list[str]]
RunTasks = Callable[..., list[str]]


def test_a_mail_arrives_in_the_mailbox_and_its_row_goes(
    messenger: Messenger,
    mailbox: LocalMailbox,
    run_tasks: RunTasks,
    new_user_id: NewId,
    count: Count,
) -> None:
    ada = new_user_id()
    messenger.mail("ada@example.com", "Grüße, Ada", "Your code is 123456.\n", subject_id=ada)
    assert mailbox.mails() == []

    assert run_tasks() == ["notifications.deliver_mail"]

    (mail,) = mailbox.mails()
    assert (mail.to, mail.subject, mail.text) == (
        ("ada@example.com",),
        "Grüße, Ada",
        "Your code is 123456.\n",
    )
    assert mail.sender == "Trellis <no-reply@localhost>"
    assert mail.about == str(ada)
    assert count(Mail) == 0


def test_a_mail_about_nobody_arrives_too(
    messenger: Messenger, mailbox: LocalMailbox, run_tasks: RunTasks
) -> None:
    messenger.mail("ada@example.com", "Hello", "Somebody signed up.", subject_id=None)
    run_tasks()
    (mail,) = mailbox.mails("ada@example.com")
    assert mail.about is None


def test_while_it_waits_nothing_of_a_mail_lies_in_clear(
    messenger: Messenger, new_user_id: NewId, stored: Callable[[], str]
) -> None:
    ada = new_user_id()
    secrets = ("ada@example.com", "A subject with sesame", "The text with sesame")
    messenger.mail(*secrets, subject_id=ada)
    assert stored()
    assert not [secret for secret in (*secrets, "sesame", "ada@") if secret in stored()]
    (work,) = fetch_all(select(OutboxRow.arguments, OutboxRow.subject))
    assert set(work.arguments) == {"mail_id"}
    assert work.subject == ada


def test_a_mail_leaves_only_from_a_run_that_nobody_interrupts(
    messenger: Messenger, set_mail: Callable[..., None]
) -> None:
    """Quick tasks share a commit on SQLite, and the slow one among them begins anew."""
    messenger.mail("ada@example.com", "Hello", "Ada", subject_id=None)
    mail_id = fetch_value(select(Mail.id))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"smtp://127.0.0.1:{silent.getsockname()[1]}?starttls=off"
        set_mail(mail_url=address, mail_timeout_seconds=0.2)
        with pytest.raises(TurnOver), time_limit(20, turn=10):
            services.deliver_mail(mail_id)
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
        with pytest.raises(MailNotTakenError), time_limit(20):
            services.deliver_mail(mail_id)


def test_a_mail_that_was_erased_is_not_delivered(
    messenger: Messenger, mailbox: LocalMailbox, run_tasks: RunTasks, new_user_id: NewId
) -> None:
    ada = new_user_id()
    messenger.mail("ada@example.com", "Hello", "Hello Ada", subject_id=ada)
    services.erase_user(ada)
    assert run_tasks() == ["notifications.deliver_mail"]
    assert mailbox.mails() == []


def test_a_mail_older_than_a_day_is_given_up(
    messenger: Messenger,
    mailbox: LocalMailbox,
    run_tasks: RunTasks,
    count: Count,
    age_mails: Callable[[timedelta], None],
) -> None:
    messenger.mail("ada@example.com", "Your code", "123456", subject_id=None)
    age_mails(timedelta(hours=24, seconds=1))
    run_tasks()
    assert (mailbox.mails(), count(Mail)) == ([], 0)


def test_a_mail_of_almost_a_day_is_delivered(
    messenger: Messenger,
    mailbox: LocalMailbox,
    run_tasks: RunTasks,
    age_mails: Callable[[timedelta], None],
) -> None:
    messenger.mail("ada@example.com", "Your code", "123456", subject_id=None)
    age_mails(timedelta(hours=23, minutes=59))
    run_tasks()
    assert len(mailbox.mails()) == 1


def test_the_purge_takes_only_what_is_too_old(
    messenger: Messenger, count: Count, age_mails: Callable[[timedelta], None]
) -> None:
    messenger.mail("ada@example.com", "Old", "Old", subject_id=None)
    age_mails(timedelta(hours=25))
    messenger.mail("ada@example.com", "New", "New", subject_id=None)
    services.purge_mails()
    (left,) = fetch_all(select(Mail.subject))
    assert left.subject == "New"


def test_sender_and_name_are_settings(
    messenger: Messenger,
    mailbox: LocalMailbox,
    run_tasks: RunTasks,
    set_mail: Callable[..., None],
) -> None:
    set_mail(mail_from="hello@photos.example", mail_from_name='Ph"otos, Inc.')
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks()
    (mail,) = mailbox.mails()
    assert mail.sender == '"Ph\\"otos, Inc." <hello@photos.example>'


HOSTILE_ADDRESSES = [
    "",
    "ada",
    "ada@",
    "@example.com",
    "ada@example.com\r\nBcc: eve@example.com",
    "ada@example.com\nBcc: eve@example.com",
    "ada@example.com\x00",
    "ada@example.com, eve@example.com",
    "ada@example.com eve@example.com",
    "Ada <ada@example.com>",
    "<ada@example.com>",
    "ada@example.com> SIZE=1\r\nRCPT TO:<eve@example.com",
    '"ada\r\n"@example.com',
    '"a b"@example.com',
    "ada@example.com (a comment)",
    "ada@exa\u2028mple.com",
    "\ud800@example.com",
    "ada@\ud800.com",
    "=?utf-8?q?ada?=@example.com",
    "=?utf-8?q?a=0D=0ABcc:_eve?=@example.com",
    "grüße@example.com",
    "ada@" + "a" * 64 + ".com",
    "ada@example..com",
    "a" * 250 + "@example.com",
]


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_an_address_that_is_more_than_one_address_is_refused(
    messenger: Messenger, count: Count, outbox: Names, address: str
) -> None:
    with pytest.raises(InvalidMail):
        messenger.mail(address, "Hello", "Hello", subject_id=None)
    assert (count(Mail), outbox()) == (0, [])


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("ada@example.com", "ada@example.com"),
        ("a.d-a_+tag@sub.example.co.uk", "a.d-a_+tag@sub.example.co.uk"),
        ("o'hara@example.com", "o'hara@example.com"),
        ("ada@localhost", "ada@localhost"),
        ("ada@exämple.com", "ada@xn--exmple-cua.com"),
    ],
)
def test_ordinary_addresses_are_taken(
    messenger: Messenger, mailbox: LocalMailbox, run_tasks: RunTasks, address: str, written: str
) -> None:
    messenger.mail(address, "Hello", "Hello", subject_id=None)
    run_tasks()
    (mail,) = mailbox.mails()
    assert mail.to == (written,)


@pytest.mark.parametrize(
    "text",
    [
        {"subject": "Hello\r\nBcc: eve@example.com"},
        {"subject": "Hello\nX: y"},
        {"subject": "Hello\r"},
        {"subject": "Hello\x00"},
        {"subject": "Hello\u2028there"},
        {"subject": "Hello\ud800"},
        {"subject": "=?utf-8?q?a=0D=0ABcc:_eve@example.com?="},
        {"subject": "Hello =?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?="},
        {"subject": "x" * 201},
        {"text": "NUL \x00"},
        {"text": "half \udfff"},
    ],
)
def test_a_subject_or_text_that_no_mail_carries_is_refused(
    messenger: Messenger, count: Count, text: dict[str, Any]
) -> None:
    mail = {"subject": "Hello", "text": "Hello", **text}
    with pytest.raises(InvalidMail):
        messenger.mail("ada@example.com", mail["subject"], mail["text"], subject_id=None)
    assert count(Mail) == 0


@pytest.mark.parametrize(
    "subject",
    ["a =? b ?= c", "x" * 200, "\N{GRINNING FACE}" * 200, "two  spaces ", " ", "", "a: b", "<b>"],
)
def test_a_strange_subject_stays_one_header(
    app: Flask,
    runtime: Runtime,
    messenger: Messenger,
    mailbox: LocalMailbox,
    run_tasks: RunTasks,
    subject: str,
) -> None:
    messenger.mail("ada@example.com", subject, "Hello", subject_id=None)
    run_tasks()
    (mail,) = mailbox.mails()
    assert mail.to == ("ada@example.com",)
    (stored,) = (runtime.settings.core.data_dir / "mailbox").glob("*.eml")
    assert b"\nBcc:" not in stored.read_bytes()
