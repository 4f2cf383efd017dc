"""Settings of the plugin."""

from __future__ import annotations

from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field

from trellis.settings import LocalOnly, PluginSettings

LOCAL_MAIL = "local:"


def _mail_address(value: str) -> str:
    if value == LOCAL_MAIL:
        return value
    url = urlsplit(value)
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/"):
        raise ValueError("must be local:, smtp://[user:password@]host[:port] or smtps://…")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    starttls = options.pop("starttls", "required")
    if options or url.fragment or starttls not in ("required", "off"):
        raise ValueError("knows one option: ?starttls=required or ?starttls=off")
    if url.scheme == "smtps" and url.query:
        raise ValueError("smtps:// is encrypted from its first byte and takes no option")
    if url.username and starttls == "off":
        raise ValueError("would send the password in clear: leave starttls=off out")
    _ = url.port  # raises ValueError for a number that is none
    return value


def _sender(value: str) -> str:
    try:
        address = Address(addr_spec=value)
    except (ValueError, IndexError, HeaderParseError):
        address = Address()
    if not address.username or not address.domain or not value.isascii():
        raise ValueError("must be one plain address such as no-reply@example.com")
    return value


class NotificationsSettings(PluginSettings):
    """How mail leaves; what a person sees of it."""

    mail_url: Annotated[
        str, LocalOnly("mail stays in the local mailbox"), AfterValidator(_mail_address)
    ] = Field(
        default=LOCAL_MAIL,
        repr=False,
        description="Where mail goes: local: (a mailbox on this machine), "
        "smtp://user:password@host:587 (STARTTLS; ?starttls=off for a relay beside us), "
        "or smtps://user:password@host:465.",
    )
    mail_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=30,
        description="How long one step of the conversation with the mail server may take.",
    )
    mail_from: Annotated[str, AfterValidator(_sender)] | None = Field(
        default=None,
        description="Address that mail comes from. Unset: no-reply at the host of public_url.",
    )
    mail_from_name: str = Field(
        default="Trellis",
        max_length=60,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Name that mail comes from, as a mail program shows it.",
    )
