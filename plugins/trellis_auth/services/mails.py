"""The mails of auth, from `templates/`: the first line is the subject, the rest the text."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template
from uuid import UUID

from trellis.contracts import Messenger, port
from trellis.settings import Settings


def send_mail(name: str, address: str, user_id: UUID, **values: object) -> None:
    """Send the mail of this name in the caller's unit of work."""
    service = Settings.current().base_url
    text = _template(name).substitute(values, service=service)
    subject, _, body = text.partition("\n")
    port(Messenger).mail(address, subject, body, subject_id=user_id)


@cache
def _template(name: str) -> Template:
    return Template((files("trellis_auth") / "templates" / f"{name}.txt").read_text("utf-8"))
