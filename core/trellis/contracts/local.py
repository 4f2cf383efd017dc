"""Where mail and pushes go on a laptop. The core provides both outside production."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, Protocol


class Mailbox(Protocol):
    """Shows the mails that would have been sent."""

    def put(self, message: EmailMessage) -> None:
        """Keep a mail. Header ``X-Trellis-Subject`` names the person whom it concerns."""
        ...

    def erase(self, person: str) -> int:
        """Forget the mails to an address or about a person's id; returns how many."""
        ...


class PushSink(Protocol):
    """Shows the pushes that would have been sent."""

    def put(self, push: Mapping[str, Any]) -> None:
        """Keep a push; ``user_id`` in it names the person."""
        ...

    def erase(self, person: str) -> int:
        """Forget the pushes to a person's id; returns how many."""
        ...
