"""The plugin's contract with the core."""

from __future__ import annotations

from typing import ClassVar

from trellis.contracts import Identity, Mailbox, Messenger, PushSink
from trellis.plugin import Every, PersonalData, Plugin


class NotificationsPlugin(Plugin):
    """Tell people things: inbox, mail and pushes."""

    name = "notifications"
    core = ">=1.0,<2"
    settings = "settings:NotificationsSettings"
    uses = (Identity,)
    wants = (Mailbox, PushSink)
    provides: ClassVar = {Messenger: "services:messenger"}
    publishes = ("events:MessageCreated",)
    subscribes: ClassVar = {"auth.session_ended/1": "listeners:forget_device"}
    personal_data = PersonalData(export="services:export_user", erase="services:erase_user")
    schedules = (Every(task="notifications.purge_mails", hours=1),)
