"""Refusals of the guestbook."""

from __future__ import annotations

from trellis.errors import DomainError


class TextTooLong(DomainError):
    """The entry has more characters than `guestbook.max_length`."""

    code = "guestbook.text_too_long"
    status = 422
    title = "The entry is too long"
