"""What this plugin refuses."""

from __future__ import annotations

from trellis.errors import DomainError


class InvalidMail(DomainError):
    """The address or the subject would not survive as one header of one mail."""

    code = "notifications.invalid_mail"
    status = 422
    title = "The mail cannot be sent as it stands"


class InvalidMessage(DomainError):
    """The message is larger than an inbox or a push can hold, or not plain data."""

    code = "notifications.invalid_message"
    status = 422
    title = "The message cannot be sent as it stands"
