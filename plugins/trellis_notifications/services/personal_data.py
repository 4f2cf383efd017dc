"""What this plugin holds of one person: given out, and erased."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from trellis.contracts import Mailbox, PushSink, port_or_none
from trellis.db import fetch_all
from trellis.unit_of_work import unit_of_work
from trellis_notifications.models import Mail, Message, Registration
from trellis_notifications.services.messages import SHOWN, inbox_tag


def export_user(user_id: UUID) -> Mapping[str, Any]:
    """Inbox, devices, and mails under way; not the text of those, which may let somebody in."""
    messages = fetch_all(SHOWN.where(Message.user_id == user_id).order_by(Message.id))
    devices = fetch_all(
        select(
            Registration.installation_id,
            Registration.platform,
            Registration.push_token,
            Registration.registered_at,
        )
        .where(Registration.user_id == user_id)
        .order_by(Registration.id)
    )
    mails = fetch_all(
        select(Mail.address, Mail.subject, Mail.created_at)
        .where(Mail.subject_id == user_id)
        .order_by(Mail.id)
    )
    return {
        name: [{key: _plain(value) for key, value in row._mapping.items()} for row in rows]
        for name, rows in {"messages": messages, "devices": devices, "mails": mails}.items()
    }


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Erase it all, what the local sinks have shown included; returns how many of each."""
    with unit_of_work() as uow:
        erased = {}
        for name, model, owner in (
            ("messages", Message, Message.user_id),
            ("devices", Registration, Registration.user_id),
            ("mails", Mail, Mail.subject_id),
        ):
            gone = uow.session.scalars(
                delete(model)
                .where(owner == user_id)
                .returning(owner)
                .execution_options(synchronize_session=False)
            )
            erased[name] = len(gone.all())
        uow.invalidate(inbox_tag(user_id))
        # After the rows: a delivery that held one of them has put what it delivered by now.
        mailbox, pushes = port_or_none(Mailbox), port_or_none(PushSink)
        erased["shown_mails"] = mailbox.erase(str(user_id)) if mailbox else 0
        erased["shown_pushes"] = pushes.erase(str(user_id)) if pushes else 0
        return erased


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
