"""The verbs of this plugin; the only place that writes its tables."""

from __future__ import annotations

from trellis_notifications.services.mail import deliver_mail, purge_mails
from trellis_notifications.services.messages import (
    add_messages,
    get_message,
    inbox_tag,
    list_messages,
    mark_read,
    unread_count,
)
from trellis_notifications.services.messenger import messenger
from trellis_notifications.services.personal_data import erase_user, export_user
from trellis_notifications.services.pushes import push
from trellis_notifications.services.registrations import (
    add_registrations,
    forget_device,
    register,
    unregister,
)

__all__ = [
    "add_messages",
    "add_registrations",
    "deliver_mail",
    "erase_user",
    "export_user",
    "forget_device",
    "get_message",
    "inbox_tag",
    "list_messages",
    "mark_read",
    "messenger",
    "purge_mails",
    "push",
    "register",
    "unread_count",
    "unregister",
]
