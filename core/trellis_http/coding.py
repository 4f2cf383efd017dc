"""Which form of an answer is sent: as it is, or with gzip (RFC 9110, sections 8.8.3.3, 12.5.3).

The two have different bytes, so each has a strong ETag of its own: that of the packed one is the
other's with a suffix. Whoever holds one of them holds the content.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

from werkzeug.datastructures import ETags, Headers
from werkzeug.http import parse_cache_control_header, parse_etags, unquote_etag

SMALLEST_BYTES = 1400
"""What is smaller travels in one packet anyway."""

_TEXT = re.compile(r"application/(?:[a-z0-9.-]+\+)?json|text/(?!event-stream)[a-z0-9.+-]+")
_SUFFIX = "-gzip"
_OF_CONTENT = frozenset({"Content-Type", "Content-Length", "Content-Encoding", "ETag"})
# A window of 8 KiB and as little memory: half the time for small answers, and 1 % more bytes.
_LEVEL, _WINDOW, _MEMORY = 4, 16 + 13, 6


def may_be_packed(headers: Headers, size: int) -> bool:
    """Whether gzip would make an answer of `size` bytes smaller, and nothing forbids it."""
    if size < SMALLEST_BYTES or "Content-Encoding" in headers or "Content-Range" in headers:
        return False
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if _TEXT.fullmatch(kind) is None:
        return False
    return not parse_cache_control_header(headers.get("Cache-Control")).no_transform


@lru_cache(256)
def takes_gzip(accept_encoding: str) -> bool:
    """Whether `Accept-Encoding` wants gzip at least as much as what is not encoded."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = _weight(weight)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if not name.strip():
        return 1.0
    number = re.fullmatch(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", value.strip())
    return float(number[0]) if number and name.strip() == "q" else 0.0


def pack(body: bytes) -> bytes:
    """The body with gzip; the same bytes each time."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return packer.compress(body) + packer.flush()


def describe_packed(headers: Headers, size: int) -> None:
    """Make the headers of an answer those of its packed form, which has `size` bytes."""
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(size)
    if "ETag" in headers:
        headers["ETag"] = packed_tag(headers["ETag"])


def packed_tag(etag: str) -> str:
    """The ETag of the packed form, of the other form's; both as they stand in the header."""
    return f'{etag[:-1]}{_SUFFIX}"'


def unchanged(headers: Iterable[tuple[str, str]], etag: str) -> list[tuple[str, str]]:
    """The headers of the 304 that is sent in place of an answer with these."""
    return [*(pair for pair in headers if pair[0] not in _OF_CONTENT), ("ETag", etag)]


def held(if_none_match: str, etags: Sequence[str]) -> str | None:
    """The first of these ETags that `If-None-Match` names (RFC 9110, section 13.1.2), or None."""
    if if_none_match in etags:
        return if_none_match
    sent = parse_etags(if_none_match)
    return next((etag for etag in etags if sent.contains_weak(unquote_etag(etag)[0] or "")), None)


def names(if_match: ETags, etag: str) -> bool:
    """Whether `If-Match` names this content, in either form; a weak tag never does.

    `etag` is without quotes.
    """
    return if_match.contains(etag) or if_match.contains(etag + _SUFFIX)
