"""What this plugin does when something happens elsewhere."""

from __future__ import annotations

from uuid import UUID

from trellis.events import Envelope
from trellis_notifications import services


def forget_device(envelope: Envelope) -> None:
    """``auth.session_ended/1``: a device that is signed out gets no pushes."""
    installation_id = envelope.payload["device_id"]
    if installation_id is not None:
        services.forget_device(
            UUID(envelope.payload["user_id"]), installation_id, envelope.created_at
        )
