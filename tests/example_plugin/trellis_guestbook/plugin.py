"""What the guestbook declares to Trellis."""

from __future__ import annotations

from typing import ClassVar

from trellis.contracts import Identity, Messenger
from trellis.plugin import Every, Permission, PersonalData, Plugin


class GuestbookPlugin(Plugin):
    """A guestbook that everybody reads and signed-in people write."""

    name = "guestbook"
    core = ">=1.0,<2"
    settings = "settings:GuestbookSettings"
    permissions = (Permission("guestbook.moderate", "Remove anybody's entries"),)
    uses = (Identity,)
    wants = (Messenger,)
    publishes = ("events:EntryWritten",)
    subscribes: ClassVar = {"media.asset_ready/1": "listeners:enter_photo"}
    personal_data = PersonalData(export="services:export_user", erase="services:erase_user")
    schedules = (Every(task="guestbook.drop_old_entries", hours=24),)
