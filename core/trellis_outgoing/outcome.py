"""What a call brings: an answer, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """What came back. Names of ``headers`` are lower case.

    ``body`` is cut off where the caller's bounds of size and time were.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class OutgoingError(Exception):
    """There is no answer. The message is one short sentence, fit for whoever gave the address."""


class TargetRefused(OutgoingError):
    """The address is none that may be called; nothing was sent."""


class NoAnswer(OutgoingError):
    """The address could not be reached, or did not answer in time or as HTTP asks."""
