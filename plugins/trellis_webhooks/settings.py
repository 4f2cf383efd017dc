"""Settings of the plugin."""

from __future__ import annotations

from pydantic import Field

from trellis.settings import PluginSettings


class WebhooksSettings(PluginSettings):
    """How patient deliveries are, and what is kept of them."""

    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=10,
        description="How long one attempt may take, from the name's resolution to the answer.",
    )
    disable_after_days: float = Field(
        default=5.0,
        gt=0,
        le=30,
        description="Days without one success after which a failing endpoint is disabled.",
    )
    keep_days: int = Field(
        default=30, ge=4, description="How many days deliveries are kept, and can be sent again."
    )
    max_waiting: int = Field(
        default=50_000,
        ge=1,
        description="Deliveries that may wait for one endpoint; with more it is disabled.",
    )
    max_endpoints: int = Field(default=100, ge=1, description="Most endpoints that there may be.")
