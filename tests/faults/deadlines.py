"""How soon what is promised must be so (`docs/operations/promises.md`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from tests.processes import until

T = TypeVar("T")

TRUTH_SECONDS = 5.0
"""Within this time health tells of a fault."""
RECOVERY_SECONDS = 30.0
"""Within this time after its end a fault leaves no trace."""


def until_told(look: Callable[[], T | None], what: str) -> T:
    """What `look` sees within the time in which health tells the truth."""
    return until(look, what, stretched(TRUTH_SECONDS))


def until_recovered(look: Callable[[], T | None], what: str) -> T:
    """What `look` sees within the time in which everything is well again."""
    return until(look, what, stretched(RECOVERY_SECONDS))


def stretched(seconds: float) -> float:
    """So long on a machine that keeps up; longer where more wants to run than it has cores for."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
