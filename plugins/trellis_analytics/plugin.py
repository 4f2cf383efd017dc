"""What analytics declares to the core."""

from __future__ import annotations

from typing import ClassVar

from trellis.contracts import EventSink, Identity
from trellis.plugin import Cron, Permission, PersonalData, Plugin


class AnalyticsPlugin(Plugin):
    """Count what people do in the app."""

    name = "analytics"
    core = ">=1.0,<2"
    settings = "settings:AnalyticsSettings"
    permissions = (Permission("analytics.read", "Read reports on what people do"),)
    uses = (Identity,)
    provides: ClassVar = {EventSink: "services:event_sink"}
    personal_data = PersonalData(export="services:export_user", erase="services:erase_user")
    schedules = (Cron(task="analytics.drop_old_events", expression="17 3 * * *"),)
