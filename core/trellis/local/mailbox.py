"""The local mailbox: shows what would have been sent, as one .eml file for each mail."""

from __future__ import annotations

import email
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import getaddresses
from itertools import chain, islice
from pathlib import Path

from trellis.local.spool import Spool, created_at

SUBJECT_HEADER = "X-Trellis-Subject"
"""Holds the id of the user whom a mail is about, so that erasing the user finds it."""

_FORMAT = policy.default.clone(utf8=True)  # an address may hold any letter


@dataclass(frozen=True)
class Mail:
    """A mail as it is shown: `to` are all its recipients, `text` its plain text, else its HTML."""

    id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    about: str | None
    created_at: datetime

    def concerns(self, person: str) -> bool:
        """Whether the mail is to the address `person`, or about the user with this id."""
        return person.casefold() in {known.casefold() for known in (*self.to, self.about or "")}


class Mailbox:
    """The mails in `directory`, of which the newest `keep` are kept."""

    def __init__(self, directory: Path, keep: int = 500) -> None:
        self._spool = Spool(directory, ".eml", keep)

    def put(self, message: EmailMessage) -> None:
        """Store a mail; when this returns it is on the disk."""
        self._spool.put(message.as_bytes(policy=_FORMAT))

    def mails(self, to: str | None = None, limit: int = 100) -> list[Mail]:
        """The newest mails, newest first; only those of the address or user id `to`, if given."""
        return list(islice((m for m in self._all() if to is None or m.concerns(to)), limit))

    def mail(self, mail_id: str) -> Mail | None:
        """One mail; None when there is none (any more)."""
        content = self._spool.read(mail_id)
        return None if content is None else _parse(mail_id, content)

    def erase(self, person: str) -> int:
        """Remove all mails to an address or about the user with an id; returns how many."""
        return self._spool.erase([mail.id for mail in self._all() if mail.concerns(person)])

    def _all(self) -> Iterator[Mail]:
        for mail_id in self._spool.ids():
            if (mail := self.mail(mail_id)) is not None:
                yield mail


def _parse(mail_id: str, content: bytes) -> Mail:
    message = email.message_from_bytes(content, policy=_FORMAT)
    headers = (message.get_all(name, ()) for name in ("To", "Cc", "Bcc"))
    # The text of a header has its letters decoded; its parsed addresses have not.
    recipients = getaddresses([str(header) for header in chain.from_iterable(headers)])
    body = message.get_body(("plain", "html"))
    return Mail(
        id=mail_id,
        sender=str(message["From"] or ""),
        to=tuple(dict.fromkeys(address for _, address in recipients)),
        subject=str(message["Subject"] or ""),
        text="" if body is None else str(body.get_content()),
        about=message[SUBJECT_HEADER],
        created_at=created_at(mail_id),
    )
