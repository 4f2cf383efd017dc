from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from trellis.local.mailbox import SUBJECT_HEADER, Mailbox
from trellis.local.push_sink import PushSink
from trellis.local.spool import Spool


def _message(to: str, subject: str = "Hello", text: str = "Text\n", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Trellis <no-reply@localhost>"
    message["To"] = to
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def test_a_mail_is_read_as_it_was_put(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "not" / "made" / "yet")
    mailbox.put(
        _message("Jörg <jörg@example.com>, b@example.com", "Prüfcode", "Ihr Code: 123 456\n")
    )

    [mail] = mailbox.mails()

    assert mail.to == ("jörg@example.com", "b@example.com")
    assert (mail.subject, mail.text) == ("Prüfcode", "Ihr Code: 123 456\n")
    assert mail.sender == "Trellis <no-reply@localhost>"
    assert datetime.now(UTC) - mail.created_at < timedelta(minutes=1)
    assert mailbox.mail(mail.id) == mail


def test_a_mail_of_many_parts_shows_its_plain_text(tmp_path: Path) -> None:
    message = _message("a@example.com", text="plain\n")
    message.add_alternative("<p>rich</p>", subtype="html")
    message.add_attachment(b"\x00\xff", maintype="image", subtype="png", filename="a.png")
    mailbox = Mailbox(tmp_path)
    mailbox.put(message)

    assert mailbox.mails()[0].text == "plain\n"


def test_the_newest_come_first_and_the_oldest_go(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, keep=3)
    for number in range(5):
        mailbox.put(_message("a@example.com", f"{number}"))

    assert [mail.subject for mail in mailbox.mails()] == ["4", "3", "2"]
    assert [mail.subject for mail in mailbox.mails(limit=1)] == ["4"]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("mail_id", ["../secret", "nothing", "0" * 20 + "-00000000", ""])
def test_an_id_that_is_none_gives_nothing(tmp_path: Path, mail_id: str) -> None:
    (tmp_path / "secret.eml").write_text("Subject: no\n\n")

    assert Mailbox(tmp_path / "mailbox").mail(mail_id) is None


def test_mails_are_chosen_by_recipient_or_person(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.put(_message("Ann@Example.com", "to"))
    mailbox.put(_message("b@example.com", "copy", Cc="ann@example.com"))
    mailbox.put(_message("b@example.com", "about", X_Trellis_Subject="0189-ann"))
    mailbox.put(_message("joann@example.com", "other"))

    assert [mail.subject for mail in mailbox.mails(to="ann@example.com")] == ["copy", "to"]
    assert [mail.subject for mail in mailbox.mails(to="0189-ann")] == ["about"]


def test_erasing_an_address_or_a_person_leaves_the_mails_of_others(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    message = _message("new-address@example.com")
    message[SUBJECT_HEADER] = "0189-ann"
    mailbox.put(message)
    mailbox.put(_message("ann@example.com"))
    mailbox.put(_message("b@example.com", "other"))

    assert mailbox.erase("ANN@example.com") == 1
    assert mailbox.erase("0189-ann") == 1
    assert mailbox.erase("nobody") == 0

    assert [mail.subject for mail in mailbox.mails()] == ["other"]
    assert "ann" not in " ".join(path.read_text() for path in tmp_path.iterdir())


def test_erasing_in_an_empty_mailbox_is_nothing(tmp_path: Path) -> None:
    assert Mailbox(tmp_path / "none").erase("ann@example.com") == 0


def test_what_a_killed_writer_left_is_never_shown_and_goes_with_the_next_erasure(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, ".eml", 500)
    old, fresh = (tmp_path / f"{time:020d}-00000000.part" for time in (1, 4 * 10**18))
    old.write_text("half")
    fresh.write_text("half")

    assert spool.ids() == []
    spool.erase([])

    assert not old.exists()
    assert fresh.exists()  # it may be in the making


def test_a_push_is_read_as_it_was_put_and_erased_by_user(tmp_path: Path) -> None:
    pushes = PushSink(tmp_path)
    pushes.put({"user_id": "ann", "title": "Zwei Größen", "data": {"n": 1}})
    pushes.put({"user_id": "bob", "at": datetime(2026, 1, 1, tzinfo=UTC)})

    assert [push.push for push in pushes.pushes()] == [
        {"user_id": "bob", "at": "2026-01-01 00:00:00+00:00"},
        {"user_id": "ann", "title": "Zwei Größen", "data": {"n": 1}},
    ]
    assert [push.push["user_id"] for push in pushes.pushes(to="ann")] == ["ann"]
    assert pushes.erase("ann") == 1
    assert [push.push["user_id"] for push in pushes.pushes()] == ["bob"]


def test_many_processes_write_while_one_reads_whole_files(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trellis.local.push_sink import PushSink\n"
        "sink = PushSink(Path(sys.argv[1]), keep=20)\n"
        "for number in range(50): sink.put({'user_id': sys.argv[2], 'text': 'x' * 5000})"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"writer {number}"],
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        for number in range(3)
    ]
    reader = PushSink(tmp_path)
    while any(writer.poll() is None for writer in writers):
        assert all(len(push.push["text"]) == 5000 for push in reader.pushes())

    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert (
        len(list(tmp_path.iterdir())) <= 22
    )  # each writer may have missed the latest of the others
