"""Pushing one message to one installation of the app."""

from __future__ import annotations

from uuid import UUID, uuid5

from sqlalchemy import select

from trellis.contracts import PushSink, port
from trellis.db import utcnow
from trellis.unit_of_work import unit_of_work
from trellis_notifications.models import Message, Registration


def push(message_id: UUID, registration_id: UUID) -> None:
    """Hand the push over, unless the message or the user's registration is gone by now.

    The id of the push is the same for every attempt. The row stays locked until the commit: an
    erasure at the same moment comes before (nothing is pushed) or after (and finds it in the sink).
    """
    with unit_of_work() as uow:
        row = uow.session.execute(
            select(
                Registration.user_id,
                Registration.installation_id,
                Registration.platform,
                Registration.push_token,
                Message.title,
                Message.body,
                Message.data,
            )
            .join(Message, Message.user_id == Registration.user_id)
            .where(Registration.id == registration_id, Message.id == message_id)
            .with_for_update(of=Registration)
        ).one_or_none()
        if row is None:
            return
        port(PushSink).put(
            {
                "id": str(uuid5(registration_id, str(message_id))),
                "message_id": str(message_id),
                "sent_at": utcnow().isoformat(),
                **row._mapping,
                "user_id": str(row.user_id),
            }
        )
