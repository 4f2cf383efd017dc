"""An operation that is on its way out says so: `Deprecation` (RFC 9745), `Sunset` (RFC 8594)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from werkzeug.http import http_date


@dataclass(frozen=True)
class Deprecation:
    """Since when something should not be used any more, and when it will be gone, if that is known.

    Days begin at midnight, UTC. `link` leads to what to do instead. Raises ValueError for a sunset
    before the deprecation.
    """

    since: date
    sunset: date | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        if self.sunset is not None and self.sunset < self.since:
            raise ValueError(f"the sunset ({self.sunset}) is before the deprecation ({self.since})")

    def headers(self, otherwise: str) -> list[tuple[str, str]]:
        """The headers of each answer; `otherwise` is the link where none is stated."""
        found = [("Deprecation", f"@{_midnight(self.since).timestamp():.0f}")]
        if self.sunset is not None:
            found.append(("Sunset", http_date(_midnight(self.sunset))))
        return [*found, ("Link", f'<{self.link or otherwise}>; rel="deprecation"')]

    def sentence(self) -> str:
        """For people."""
        text = f"Deprecated since {self.since}"
        text += f", and gone after {self.sunset}" if self.sunset else ""
        return f"{text}: see {self.link}." if self.link else f"{text}."

    def is_over(self, now: datetime | None = None) -> bool:
        """Whether the sunset has passed."""
        now = now or datetime.now(UTC)
        return self.sunset is not None and _midnight(self.sunset) <= now


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
