"""What becomes of a process whose parent has ended without a word."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(how: signal.Signals) -> None:
    """Get this signal when the parent ends, however it ends (on Linux; elsewhere nothing is done).

    Nobody would start this process again, or tell it to stop: it would hold its port, and run code
    of before for ever.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how, 0, 0, 0)
