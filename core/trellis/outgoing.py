"""Calls to addresses that users have given, to where this installation lets them go.

The HTTP library is loaded when the first call is made.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import trellis
from trellis.jobs.limits import run_alone
from trellis.settings import Settings
from trellis_outgoing.hosts import Hosts
from trellis_outgoing.outcome import Answer, NoAnswer, OutgoingError, TargetRefused
from trellis_outgoing.targets import check_text

if TYPE_CHECKING:
    from trellis_outgoing.calls import Caller

__all__ = ["Answer", "NoAnswer", "OutgoingError", "TargetRefused", "caller", "check_url"]


def check_url(url: str) -> None:
    """Refuse an address of which it can be told at once that it may not be called.

    Raises TargetRefused. Where its name leads is told when it is called: that changes.
    """
    check_text(url, _allowed())


def caller() -> closing[Caller]:
    """Calls to addresses that users have given, in a ``with`` block at whose end it hangs up.

    Private addresses and http:// are refused, but for those in the setting ``outgoing_allow``.
    """
    from trellis_outgoing.calls import Caller

    # What is sent cannot be taken back: it is no work to be done together with other work.
    return closing(Caller(_allowed(), agent=f"Trellis/{trellis.__version__}", first=run_alone))


def _allowed() -> Hosts:
    return Hosts.of(Settings.current().outgoing_allow)
