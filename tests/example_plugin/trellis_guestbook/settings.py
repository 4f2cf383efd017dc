"""What an operator can set."""

from __future__ import annotations

from pydantic import Field
from trellis.settings import PluginSettings


class GuestbookSettings(PluginSettings):
    """Settings of the guestbook."""

    max_length: int = Field(default=500, ge=1, description="Most characters of an entry.")
    keep_days: int = Field(default=365, ge=1, description="How many days entries are kept.")
