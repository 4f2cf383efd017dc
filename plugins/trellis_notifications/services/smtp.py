"""Handing a mail to a mail server by SMTP.

What the server says may repeat the address, and errors of tasks are stored and logged: so only its
numeric codes go into them.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import parse_qsl, unquote, urlsplit

from trellis.errors import Permanent, Transient
from trellis_notifications.settings import NotificationsSettings


class MailNotTakenError(Transient):
    """The mail server did not take the mail this time."""


def send_by_smtp(message: EmailMessage, settings: NotificationsSettings) -> None:
    """Have the server take the mail. Raises Permanent when it refuses it for good (5xx).

    Every other fault raises something else: the server's "not now" (4xx), a server that is away,
    and one that does not let us in, which is no fault of the mail.
    """
    sender = message["From"].addresses[0]
    recipient = message["To"].addresses[0]
    client = _connect(settings, sender.domain)
    try:
        client.send_message(message, sender.addr_spec, [recipient.addr_spec])
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal("the recipient", error.recipients[recipient.addr_spec][0]) from None
    except smtplib.SMTPSenderRefused as error:
        raise _refusal("the sender", error.smtp_code) from None
    except smtplib.SMTPDataError as error:
        raise _refusal("the text", error.smtp_code) from None
    except OSError as error:
        raise MailNotTakenError(f"the connection was lost ({type(error).__name__})") from None
    finally:
        with suppress(OSError):  # the mail is taken or refused by now
            client.quit()
        client.close()


def _connect(settings: NotificationsSettings, own_name: str) -> smtplib.SMTP:
    url = urlsplit(settings.mail_url)
    host, timeout = url.hostname or "", settings.mail_timeout_seconds
    client: smtplib.SMTP | None = None
    try:
        if url.scheme == "smtps":
            context = ssl.create_default_context()
            port = url.port or 465
            client = smtplib.SMTP_SSL(host, port, own_name, timeout=timeout, context=context)
        else:
            client = smtplib.SMTP(host, url.port or 587, own_name, timeout)
            if dict(parse_qsl(url.query)).get("starttls") != "off":
                client.starttls(context=ssl.create_default_context())
        if url.username:
            client.login(unquote(url.username), unquote(url.password or ""))
    except OSError as error:  # the base of smtplib's and ssl's errors, too
        if client is not None:
            client.close()
        code = getattr(error, "smtp_code", type(error).__name__)
        raise MailNotTakenError(f"the mail server cannot be used ({code})") from None
    return client


def _refusal(what: str, code: int) -> Exception:
    kind = Permanent if 500 <= code < 600 else MailNotTakenError
    return kind(f"the mail server refused {what} ({code})")
