"""Mail: kept encrypted until a worker has delivered it, then forgotten."""

from __future__ import annotations

import re
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from sqlalchemy import delete, insert, select

from trellis.contracts import Mailbox, port
from trellis.db import Found, database_now, fetch_one, new_id
from trellis.jobs import run_alone
from trellis.settings import Settings
from trellis.unit_of_work import unit_of_work
from trellis_notifications.errors import InvalidMail
from trellis_notifications.models import Mail
from trellis_notifications.services.smtp import send_by_smtp
from trellis_notifications.settings import LOCAL_MAIL, NotificationsSettings

log = structlog.get_logger(__name__)

LIFETIME_SECONDS = 24 * 3600
"""A mail that could not be delivered for so long is given up: what it says no longer holds."""
MAX_ADDRESS = 254
MAX_SUBJECT = 200

_HEADERS = HeaderRegistry()
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def queue_mail(address: str, subject: str, text: str, *, subject_id: UUID | None) -> None:
    """See `trellis.contracts.Messenger.mail`. Raises InvalidMail."""
    address = _one_address(address)
    _check(subject, text)
    mail_id = new_id()
    with unit_of_work() as uow:
        uow.session.execute(
            insert(Mail).values(
                id=mail_id,
                subject_id=subject_id,
                address=address,
                subject=subject,
                text=text,
                created_at=database_now(),
            )
        )
        uow.enqueue("notifications.deliver_mail", subject=subject_id, mail_id=str(mail_id))


def deliver_mail(mail_id: UUID) -> None:
    """Deliver a mail, unless it was erased, or has become too old to be of use.

    Raises Permanent when the mail server will never take it; other faults are worth another try.
    """
    mail = fetch_one(
        select(
            Mail.id,
            Mail.subject_id,
            Mail.address,
            Mail.subject,
            Mail.text,
            Mail.created_at,
            (Mail.created_at < database_now(-LIFETIME_SECONDS)).label("too_old"),
        ).where(Mail.id == mail_id)
    )
    if mail is None:
        return
    if mail.too_old:
        _forget(mail_id)
        log.warning("mail_given_up", mail_id=str(mail_id))
        return
    settings = NotificationsSettings.current()
    message = compose(mail, settings)
    if settings.mail_url != LOCAL_MAIL:
        # Before the unit begins: a slow mail server must not hold up everybody else's writing.
        run_alone()
        send_by_smtp(message, settings)
    with unit_of_work():
        # In this order: an erasure at the same moment comes before (the row is gone, nothing is
        # shown) or waits for our commit (and finds the mail in the mailbox).
        if _forget(mail_id) and settings.mail_url == LOCAL_MAIL:
            if mail.subject_id is not None:
                message["X-Trellis-Subject"] = str(mail.subject_id)
            port(Mailbox).put(message)


def purge_mails() -> None:
    """Forget mails that are too old, among them those that the mail server refused for good."""
    with unit_of_work() as uow:
        uow.session.execute(
            delete(Mail)
            .where(Mail.created_at < database_now(-LIFETIME_SECONDS))
            .execution_options(synchronize_session=False)
        )


def compose(mail: Found, settings: NotificationsSettings) -> EmailMessage:
    """The mail as it is sent: the same for every attempt, so that a receiver can drop a repeat."""
    sender = settings.mail_from or f"no-reply@{_public_host()}"
    created_at: datetime = mail.created_at
    message = EmailMessage()
    message["From"] = Address(settings.mail_from_name, addr_spec=sender)
    message["To"] = Address(addr_spec=mail.address)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(created_at)
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


def _forget(mail_id: UUID) -> bool:
    with unit_of_work() as uow:
        forgotten = uow.session.scalar(
            delete(Mail)
            .where(Mail.id == mail_id)
            .returning(Mail.id)
            .execution_options(synchronize_session=False)
        )
    return forgotten is not None


def _public_host() -> str:
    """The host of the public address; an IP address cannot stand in a mail address as it is."""
    host = urlsplit(Settings.current().base_url).hostname or ""
    return "localhost" if ":" in host or host.replace(".", "").isdigit() else host


def _one_address(address: str) -> str:
    """The address, its domain in the form that every mail server knows (IDNA).

    Refuses what could add a recipient, a header or an SMTP command of its own.
    """
    try:
        local, at, domain = address.rpartition("@")
        address = f"{local}{at}{domain.encode('idna').decode()}"
        parsed = Address(addr_spec=address)
        whole = bool(parsed.username and parsed.domain) and parsed.addr_spec == address
    except (ValueError, IndexError, HeaderParseError):
        whole = False
    if not whole or len(address) > MAX_ADDRESS or _UNSAFE.search(address) or " " in address:
        raise InvalidMail("That is not one plain mail address.")
    return address


def _check(subject: str, text: str) -> None:
    """Refuse a subject that could add a header, and what cannot be written in UTF-8."""
    if (
        len(subject) > MAX_SUBJECT
        or _UNSAFE.search(subject)
        # `email` decodes encoded words in what it is given, line breaks included, and some versions
        # of it write those out as they are.
        or _HEADERS("Subject", subject) != subject
    ):
        raise InvalidMail(f"A subject is one line of at most {MAX_SUBJECT} characters.")
    if re.search(r"[\x00\ud800-\udfff]", text):
        raise InvalidMail("The text holds NUL or half a character.")
