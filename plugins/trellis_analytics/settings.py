"""What an operator can set about analytics."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from trellis.settings import PluginSettings


class AnalyticsSettings(PluginSettings):
    """How much one call may bring, what times are believed, and how long events are kept."""

    max_batch_events: int = Field(
        default=500, ge=1, le=10_000, description="Most events in one batch."
    )
    max_batch_bytes: int = Field(
        default=512 * 1024, ge=1024, description="Largest body of a batch, in bytes."
    )
    max_properties_bytes: int = Field(
        default=32 * 1024,
        ge=2,
        description="Largest properties of one event, in bytes of compact JSON.",
    )
    clock_skew_seconds: int = Field(
        default=300,
        ge=0,
        description="How far ahead of ours a phone's clock may run; an event of a later time "
        "counts as of its receipt.",
    )
    max_event_age_days: int = Field(
        default=30,
        ge=1,
        description="How long ago an event may have happened; an older one counts as of that day.",
    )
    retention_days: int = Field(
        default=400, ge=1, description="How many days events are kept; older ones are deleted."
    )
    max_report_days: int = Field(
        default=92, ge=1, le=3660, description="Most days that one report covers."
    )
    max_report_names: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="Most names of events that a report shows for a day, the most frequent first.",
    )

    @model_validator(mode="after")
    def _keeps_what_it_takes(self) -> Self:
        if self.max_event_age_days > self.retention_days:
            raise ValueError(
                "max_event_age_days exceeds retention_days: events would go as they come"
            )
        return self
