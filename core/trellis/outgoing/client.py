"""What plugins call; the HTTP library behind it is loaded when the first call is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trellis.outgoing.targets import Exceptions, check_text
from trellis.settings import Settings


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


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float = 10.0,
    most_bytes: int = 64 * 1024,
) -> Answer:
    """POST to an address that a user has given; the answer may be any, a redirect included.

    Takes ``seconds`` at most, from the name's resolution to the answer's end. Raises TargetRefused
    before anything is sent, and NoAnswer. Private addresses and http:// are refused, but for those
    in the setting ``outgoing_allow``.
    """
    from trellis.outgoing.call import Caller

    return Caller(_exceptions()).post(url, body, headers, seconds=seconds, most_bytes=most_bytes)


def _exceptions() -> Exceptions:
    return Exceptions.of(Settings.current().outgoing_allow)
