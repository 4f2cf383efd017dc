"""Telling a person something. Provided by the plugin that owns inbox, mail and push."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID


class Messenger(Protocol):
    """Both calls join the caller's unit of work: nothing leaves before it commits."""

    def send(
        self,
        user_id: UUID,
        kind: str,
        title: str,
        body: str,
        data: Mapping[str, Any],
        *,
        dedupe: str | None = None,
    ) -> UUID:
        """Put a message in the user's inbox and push it to the user's devices; returns its id.

        ``kind`` names the message for the app (``media.photo_ready``), ``data`` holds ids and plain
        values for it. The same ``dedupe`` for the same user is one message, sent once.
        """
        ...

    def mail(self, address: str, subject: str, text: str, *, subject_id: UUID | None) -> None:
        """Send a mail; ``subject_id`` is the person whom it concerns, so that erasure finds it."""
        ...
