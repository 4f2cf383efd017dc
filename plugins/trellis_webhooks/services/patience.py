"""How long is waited after an attempt, for the delivery and for its endpoint."""

from __future__ import annotations

import random
from datetime import datetime
from email.utils import parsedate_to_datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

SCHEDULE = (
    5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
"""Seconds before each further attempt, as the specification proposes: ten in over three days."""

LONGEST_ASKED = DAY
"""A `Retry-After` counts up to here."""

_FIRST_CLOSED, _LONGEST_CLOSED = 5.0, HOUR
# An endpoint that answers is refusing certain events: others are tried until this many in a row.
_REFUSALS_IN_A_ROW = 4
# A slow endpoint gets a fifth of a worker's time.
_SLOW_SECONDS, _PAUSES = 1.0, 4.0


def before_next_try(tries: int) -> float | None:
    """Seconds until the next try of a delivery that was tried in vain; None when it is given up."""
    return _jittered(SCHEDULE[tries - 1]) if tries <= len(SCHEDULE) else None


def closed_for(failures: int, *, answered: bool) -> float:
    """Seconds during which an endpoint that failed so often in a row is left alone.

    All its deliveries wait meanwhile: otherwise each would find out for itself, for as long as an
    attempt may take.
    """
    counted = failures - _REFUSALS_IN_A_ROW if answered else failures
    if counted < 1:
        return 0.0
    return _jittered(min(_FIRST_CLOSED * 2.0 ** min(counted - 1, 20), _LONGEST_CLOSED))


def pause_after(seconds: float) -> float:
    """Seconds before the endpoint's next attempt, after one that took so long."""
    return _PAUSES * seconds if seconds >= _SLOW_SECONDS else 0.0


def asked_for(retry_after: str | None, now: datetime) -> float:
    """What `Retry-After` asks for in seconds, within bounds (RFC 9110, section 10.2.3)."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:10])
    else:
        try:
            seconds = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)
