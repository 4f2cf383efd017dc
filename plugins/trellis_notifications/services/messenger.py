"""The provider of the port `Messenger`: what other plugins see of this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from trellis_notifications.services.mail import queue_mail
from trellis_notifications.services.messages import send_message


class InboxMessenger:
    """Implements `trellis.contracts.Messenger`."""

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
        return send_message(user_id, kind, title, body, data, dedupe=dedupe)

    def mail(self, address: str, subject: str, text: str, *, subject_id: UUID | None) -> None:
        queue_mail(address, subject, text, subject_id=subject_id)


def messenger() -> InboxMessenger:
    """Make the provider."""
    return InboxMessenger()
