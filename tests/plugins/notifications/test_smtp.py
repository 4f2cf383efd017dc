"""Mail over SMTP, against a real server on this machine that answers as each test says."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask
from sqlalchemy import select

from trellis.contracts import Messenger
from trellis.db import Model, fetch_all, fetch_one
from trellis.local.mailbox import Mailbox as LocalMailbox
from trellis.outbox.models import OutboxRow
from trellis_notifications import services
from trellis_notifications.models import Mail

NewId = Callable[[], UUID]
Count = Callable[[type[Model]], int]
RunTasks = Callable[..., list[str]]
SetMail = Callable[..., None]

OK = "250 OK"


class Server:
    """An SMTP server in a thread of its own; `answers` are given one by one, then `OK`."""

    def __init__(self, **options: Any) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answers: dict[str, list[str]] = {"RCPT": [], "DATA": [], "QUIT": []}
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _listen(self) -> asyncio.Server:
        tls = self._options.pop("tls", None)

        def session() -> SMTP:
            return SMTP(self, hostname="test", loop=self._loop, **self._options)

        return await self._loop.create_server(session, "127.0.0.1", 0, ssl=tls)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    def _answer(self, command: str) -> str:
        return self.answers[command].pop(0) if self.answers[command] else OK

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        answer = self._answer("RCPT")
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self._answer("DATA")
        if answer == OK:
            self.recipients.append(envelope.rcpt_tos)
            message = email.message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.mails.append(message)
        return answer

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        return self._answer("QUIT")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve(…)`` starts a server, with aiosmtpd's options and ``tls``."""
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(serve: Callable[..., Server], set_mail: SetMail) -> Server:
    """A relay without encryption, and the plugin set up to use it."""
    server = serve()
    set_mail(mail_url=f"smtp://127.0.0.1:{server.port}?starttls=off", mail_from="us@example.com")
    return server


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, private)
    return context


def work() -> Any:
    """The one piece of work."""
    return fetch_one(select(OutboxRow.error, OutboxRow.dead_at, OutboxRow.done_at))


def test_a_mail_goes_to_its_one_recipient(
    server: Server,
    messenger: Messenger,
    mailbox: LocalMailbox,
    run_tasks: RunTasks,
    new_user_id: NewId,
    count: Count,
) -> None:
    ada = new_user_id()
    messenger.mail("ada@example.com", "Grüße", "Ihr Code: 123456 ✓\n", subject_id=ada)
    run_tasks()
    (mail,) = server.mails
    assert server.recipients == [["ada@example.com"]]
    assert mail["From"] == "Trellis <us@example.com>"
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"] == "Grüße"
    assert mail["Message-ID"].endswith("@example.com>")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines() == ["Ihr Code: 123456 ✓"]
    assert str(ada) not in mail.as_string(), "who it concerns is nobody else's business"
    assert (count(Mail), mailbox.mails()) == (0, [])


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
def test_not_now_is_tried_again_as_the_same_mail(
    server: Server,
    messenger: Messenger,
    run_tasks: RunTasks,
    make_due: Callable[[], None],
    count: Count,
    stage: str,
) -> None:
    server.answers[stage] = ["451 4.7.1 ada@example.com is greylisted", "451 again"]
    messenger.mail("ada@example.com", "Your code", "sesame", subject_id=None)
    (waiting,) = [fetch_one(select(Mail.id))]
    assert waiting is not None
    for attempt in range(3):
        assert server.mails == []
        assert count(Mail) == 1
        assert run_tasks(failures=True) == ["notifications.deliver_mail"], attempt
        make_due()
    (mail,) = server.mails
    assert mail["Message-ID"] == f"<{waiting.id}@example.com>"
    assert count(Mail) == 0
    assert work().done_at is not None


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
def test_never_is_a_dead_letter_at_once(
    server: Server, messenger: Messenger, run_tasks: RunTasks, stage: str
) -> None:
    server.answers[stage] = ["550 5.1.1 no ada@example.com here"]
    messenger.mail("ada@example.com", "Your code", "sesame", subject_id=None)
    run_tasks(failures=True)
    assert server.mails == []
    assert work().dead_at is not None
    assert work().error.endswith("(550)")


def test_what_the_server_says_reaches_no_log_and_no_error(
    server: Server,
    messenger: Messenger,
    run_tasks: RunTasks,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("mail.log"), "disabled", True)  # the server's own
    server.answers["RCPT"] = ["451 not yet, ada@example.com"]
    server.answers["DATA"] = ["550 no sesame for ada@example.com"]
    messenger.mail("ada@example.com", "Your code", "sesame", subject_id=None)
    messenger.mail("ada@example.com", "Your code", "sesame", subject_id=None)
    run_tasks(failures=True)
    errors = [row.error for row in fetch_all(select(OutboxRow.error).order_by(OutboxRow.id))]
    assert [error[-5:] for error in errors] == ["(451)", "(550)"]
    told = "".join([*capfd.readouterr(), *errors])
    assert "task_failed" in told
    assert "ada@example.com" not in told
    assert "sesame" not in told


def test_a_server_that_complains_after_taking_the_mail_gets_no_second(
    server: Server, messenger: Messenger, run_tasks: RunTasks, count: Count
) -> None:
    server.answers["QUIT"] = ["421 too busy to part"]
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks()
    assert (len(server.mails), count(Mail)) == (1, 0)


@pytest.mark.parametrize(
    "text", ["one\r\n.\r\ntwo", "one\n.\ntwo", ".", "one\r.\rtwo", "\r\n..\r\n"]
)
def test_a_text_cannot_end_the_mail_and_begin_another(
    server: Server, messenger: Messenger, run_tasks: RunTasks, text: str
) -> None:
    smuggled = f"{text}\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
    messenger.mail("ada@example.com", "Hello", smuggled, subject_id=None)
    run_tasks()
    assert server.recipients == [["ada@example.com"]]
    (mail,) = server.mails
    assert mail.get_content().splitlines() == smuggled.splitlines()


def test_a_server_that_is_away_is_tried_again(
    messenger: Messenger, run_tasks: RunTasks, set_mail: SetMail, count: Count
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    set_mail(mail_url=f"smtp://127.0.0.1:{port}?starttls=off")
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks(failures=True)
    assert work().dead_at is None
    assert work().error.endswith("(ConnectionRefusedError)")
    assert count(Mail) == 1


def test_a_server_that_says_nothing_is_left_after_the_timeout(
    messenger: Messenger, run_tasks: RunTasks, set_mail: SetMail
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        set_mail(mail_url=f"smtp://127.0.0.1:{port}?starttls=off", mail_timeout_seconds=0.2)
        messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
        run_tasks(failures=True)
    assert work().dead_at is None
    assert work().error.startswith("MailNotTakenError")


def test_a_mail_erased_while_the_server_thinks_leaves_nothing(
    app: Flask,
    server: Server,
    messenger: Messenger,
    run_tasks: RunTasks,
    new_user_id: NewId,
    count: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada = new_user_id()
    taking = server.handle_DATA

    async def erase_meanwhile(*arguments: Any) -> str:
        with app.app_context():
            services.erase_user(ada)
        return await taking(*arguments)

    monkeypatch.setattr(server, "handle_DATA", erase_meanwhile)
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=ada)
    run_tasks()
    assert count(Mail) == 0
    assert work().done_at is not None


class Authenticator:
    """Lets one name in."""

    def __call__(self, _server: Any, _session: Any, _envelope: Any, _how: str, given: Any) -> Any:
        known = (given.login, given.password) == (b"me@example.com", b"p@ss/word")
        return AuthResult(success=known, handled=False)


LOGIN = "me%40example.com:p%40ss%2Fword"


def test_starttls_and_password(
    serve: Callable[..., Server],
    certificate: ssl.SSLContext,
    messenger: Messenger,
    run_tasks: RunTasks,
    set_mail: SetMail,
) -> None:
    server = serve(
        tls_context=certificate,
        require_starttls=True,
        authenticator=Authenticator(),
        auth_required=True,
    )
    set_mail(mail_url=f"smtp://{LOGIN}@127.0.0.1:{server.port}")
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks()
    assert len(server.mails) == 1


def test_a_wrong_password_is_no_fault_of_the_mail(
    serve: Callable[..., Server],
    certificate: ssl.SSLContext,
    messenger: Messenger,
    run_tasks: RunTasks,
    set_mail: SetMail,
) -> None:
    server = serve(tls_context=certificate, authenticator=Authenticator())
    set_mail(mail_url=f"smtp://me%40example.com:wrong@127.0.0.1:{server.port}")
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks(failures=True)
    assert work().dead_at is None
    assert work().error == "MailNotTakenError: the mail server cannot be used (535)"
    assert server.mails == []


def test_a_server_without_starttls_gets_no_mail(
    serve: Callable[..., Server], messenger: Messenger, run_tasks: RunTasks, set_mail: SetMail
) -> None:
    server = serve()
    set_mail(mail_url=f"smtp://127.0.0.1:{server.port}")
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks(failures=True)
    assert (work().dead_at, server.mails) == (None, [])


def test_tls_from_the_first_byte(
    serve: Callable[..., Server],
    certificate: ssl.SSLContext,
    messenger: Messenger,
    run_tasks: RunTasks,
    set_mail: SetMail,
) -> None:
    server = serve(tls=certificate)
    set_mail(mail_url=f"smtps://127.0.0.1:{server.port}")
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks()
    assert len(server.mails) == 1


def test_a_certificate_of_nobody_known_is_refused(
    serve: Callable[..., Server],
    certificate: ssl.SSLContext,
    messenger: Messenger,
    run_tasks: RunTasks,
    set_mail: SetMail,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    server = serve(tls_context=certificate)
    set_mail(mail_url=f"smtp://127.0.0.1:{server.port}")
    messenger.mail("ada@example.com", "Hello", "Hello", subject_id=None)
    run_tasks(failures=True)
    assert work().error.endswith("(SSLCertVerificationError)")
    assert server.mails == []
