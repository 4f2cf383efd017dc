"""What a client may hold already: strong ETags, 304, and ranges (RFC 9110, sections 13, 14)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import quote_etag

from trellis.cache.in_front import surrogate_headers
from trellis.errors import PreconditionFailed, RangeNotSatisfiable
from trellis_http.coding import names

Opener = Callable[[int, int], Iterator[bytes]]

_RANGE = re.compile(r"bytes=([0-9]{0,30})-([0-9]{0,30})", re.IGNORECASE)
_LONGEST_NAME = 200  # bytes, below the limit of every file system


def blob_response(
    opener: Opener,
    *,
    size: int,
    etag: str,
    content_type: str,
    filename: str | None = None,
    inline: bool = False,
    last_modified: datetime | None = None,
    cache_control: str = "private, no-cache",
    tags: Iterable[str] = (),
) -> Response:
    """Serve `size` bytes, or the part that the request asks for.

    `opener(start, end)` yields the bytes from `start` up to, not including, `end`; it is called
    only when bytes are sent. `etag` (without quotes) changes with every byte of the content.
    `content_type` was decided by the server from the content, never taken from whoever uploaded it;
    shown in a browser (`inline`) it can run nothing. With a public `cache_control`, a CDN may keep
    it until one of the `tags` is invalidated (`Plugin.public_tags`).
    Raises PreconditionFailed (412) and RangeNotSatisfiable (416).
    """
    headers = {
        "ETag": quote_etag(etag),
        "Cache-Control": cache_control,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": content_disposition(filename, inline=inline),
    }
    if "public" in cache_control:
        headers |= surrogate_headers(tags)
    else:
        headers["Vary"] = "Authorization"
    response = Response(status=200, headers=headers, content_type=content_type)
    if last_modified is not None:
        response.last_modified = last_modified = last_modified.replace(microsecond=0)
    if _precondition_fails(etag, last_modified):
        raise PreconditionFailed
    if _is_unchanged(etag, last_modified):
        response.status_code = 304
        del response.headers["Content-Type"]
        return response
    start, end = 0, size
    part = _requested_range(size) if _range_applies(etag, last_modified) else None
    if part is not None:
        start, end = part
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    response.content_length = end - start
    if request.method != "HEAD" and end > start:
        response.response = opener(start, end)
    return response


def tagged(response: Response) -> Response:
    """Give what GET is answered with its ETag. What may be stored nowhere gets none."""
    if (
        request.method in ("GET", "HEAD")
        and response.status_code == 200
        and not response.cache_control.no_store
    ):
        response.headers["ETag"] = quote_etag(etag_of(response))
    return response


def etag_of(response: Response) -> str:
    """The ETag that the answer has, or else of its content; without quotes."""
    stated = response.get_etag()[0]
    return stated or hashlib.blake2b(response.get_data(), digest_size=16).hexdigest()


def _precondition_fails(etag: str, last_modified: datetime | None) -> bool:
    if "If-Match" in request.headers:
        return not names(request.if_match, etag)
    unless = request.if_unmodified_since
    return bool(unless and last_modified and last_modified > unless)


def _is_unchanged(etag: str, last_modified: datetime | None) -> bool:
    if "If-None-Match" in request.headers:
        return request.if_none_match.contains_weak(etag)
    since = request.if_modified_since
    return bool(since and last_modified and last_modified <= since)


def _range_applies(etag: str, last_modified: datetime | None) -> bool:
    if request.method != "GET":
        return False
    if "If-Range" not in request.headers:
        return True
    wanted = request.if_range
    if wanted.etag is not None:
        # A weak tag never matches here: the bytes may differ.
        return request.headers["If-Range"].strip() == quote_etag(etag)
    return last_modified is not None and wanted.date == last_modified


def _requested_range(size: int) -> tuple[int, int] | None:
    """Start and end (exclusive); None, to send everything, for no, several or malformed ranges."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or size == 0:
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:
        start, end = max(size - int(last), 0), size
    else:
        return None
    if start >= end:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"}, size=size)
    return start, end


def content_disposition(filename: str | None, *, inline: bool) -> str:
    """The header of RFC 6266: an ASCII name for old clients, the true one in UTF-8 beside it."""
    kind = "inline" if inline else "attachment"
    name = _harmless(filename or "")
    if not name:
        return kind
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    ascii_name = re.sub(r'["\\%]', "_", ascii_name)
    if ascii_name == name:
        return f'{kind}; filename="{name}"'
    encoded = quote(name, safe="!#$&+-.^_`|~")
    return f"{kind}; filename=\"{ascii_name or 'file'}\"; filename*=UTF-8''{encoded}"


def _harmless(filename: str) -> str:
    """The name without folders, control characters and marks that turn the writing direction."""
    base = re.split(r"[/\\]", filename)[-1]
    kept = "".join(c for c in base if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    stem, dot, ending = kept.strip(" .").rpartition(".")
    if not dot or len(ending) > 20:
        stem, dot, ending = stem + dot + ending, "", ""
    room = _LONGEST_NAME - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + ending
