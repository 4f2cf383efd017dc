"""What auth declares to the core."""

from __future__ import annotations

from trellis.contracts import EventSink, Identity, Messenger
from trellis.plugin import Every, PersonalData, Plugin


class AuthPlugin(Plugin):
    """Accounts, sessions and tokens: who is calling."""

    name = "auth"
    core = ">=1.0,<2"
    settings = "settings:AuthSettings"
    uses = (Messenger,)
    wants = (EventSink,)
    provides = {Identity: "services:identity"}
    publishes = ("events:UserCreated", "events:SessionEnded")
    personal_data = PersonalData(export="services:export_user", erase="services:erase_user")
    mounts = ("/.well-known/jwks.json",)  # RFC 7517, section 5, at RFC 8615's place
    schedules = (Every(task="auth.sweep", minutes=10),)
