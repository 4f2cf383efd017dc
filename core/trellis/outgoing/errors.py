"""Why a call brought no answer."""

from __future__ import annotations


class OutgoingError(Exception):
    """There is no answer. The message is one short sentence, fit for whoever gave the address."""


class TargetRefused(OutgoingError):
    """The address is none that may be called; nothing was sent."""


class NoAnswer(OutgoingError):
    """The address could not be reached, or did not answer in time or as HTTP asks."""
