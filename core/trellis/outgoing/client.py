"""What plugins call; the HTTP library behind it is loaded when the first call is made."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trellis.hosts import Hosts
from trellis.outgoing.targets import check_text
from trellis.settings import Settings

if TYPE_CHECKING:
    from trellis.outgoing.call import Caller


@dataclass(frozen=True)
class Answer:
    """What came back. Names of ``headers`` are lower case.

    ``body`` is cut off where the caller's bounds of size and time were.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def check_url(url: str) -> None:
    """Refuse an address of which it can be told at once that it may not be called.

    Raises TargetRefused. Where its name leads is told when it is called: that changes.
    """
    check_text(url, _exceptions())


def caller() -> closing[Caller]:
    """Calls to addresses that users have given, in a ``with`` block at whose end it hangs up.

    Private addresses and http:// are refused, but for those in the setting ``outgoing_allow``.
    """
    from trellis.outgoing.call import Caller

    return closing(Caller(_exceptions()))


def _exceptions() -> Hosts:
    return Hosts.of(Settings.current().outgoing_allow)
