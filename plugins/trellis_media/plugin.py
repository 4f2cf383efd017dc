"""What media declares to the core."""

from __future__ import annotations

from trellis.contracts import BlobStore, Identity, Messenger
from trellis.plugin import Every, PersonalData, Plugin


class MediaPlugin(Plugin):
    """Upload, transform and deliver files."""

    name = "media"
    core = ">=1.0,<2"
    settings = "settings:MediaSettings"
    uses = (Identity, BlobStore)
    wants = (Messenger,)
    publishes = (
        "events:AssetUploaded",
        "events:AssetReady",
        "events:AssetFailed",
        "events:AssetShown",
        "events:AssetDeleted",
    )
    public_tags = ("media.asset",)
    personal_data = PersonalData(export="services:export_user", erase="services:erase_user")
    schedules = (
        Every(task="media.sweep_orphans", hours=1),
        Every(task="media.close_given_up", minutes=1),
    )
