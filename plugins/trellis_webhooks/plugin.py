"""The plugin's contract with the core."""

from __future__ import annotations

from trellis.contracts import Identity, Messenger
from trellis.plugin import Every, Permission, PersonalData, Plugin


class WebhooksPlugin(Plugin):
    """Tell other systems what happens: signed webhooks to operators' endpoints."""

    name = "webhooks"
    core = ">=1.0,<2"
    settings = "settings:WebhooksSettings"
    permissions = (Permission("webhooks.manage", "Manage endpoints and see what they were sent"),)
    uses = (Identity,)
    wants = (Messenger,)
    publishes = ("events:EndpointDisabled",)
    follows = "webhooks.follow"
    personal_data = PersonalData(export="services:export_user", erase="services:erase_user")
    schedules = (
        Every(task="webhooks.resume", minutes=1),
        Every(task="webhooks.forget_deliveries", hours=1),
    )
