"""The last that is done to every answer: its headers, and in which form it is sent, if at all."""

from __future__ import annotations

from flask import Response, g, request
from werkzeug.datastructures import Headers

from trellis.api.requests import deprecation_headers
from trellis_http.coding import (
    describe_packed,
    held,
    may_be_packed,
    pack,
    packed_tag,
    takes_gzip,
    unchanged,
)


def finish_headers(response: Response) -> Response:
    """After-request hook: caching is always explicit, and browsers never guess a type."""
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if "Cache-Control" not in headers:
        if "ETag" in headers and request.method in ("GET", "HEAD"):
            headers["Cache-Control"] = "private, no-cache"
            response.vary.add("Authorization")
        else:
            headers["Cache-Control"] = "no-store"
    if "Deprecation" not in headers:  # what is kept has it already
        headers.extend(deprecation_headers())
    if response.status_code == 204:
        headers.pop("Content-Type", None)
    return response


def send_form(response: Response) -> Response:
    """After-request hook: 304 to whoever holds the content already, and gzip to whoever takes it.

    What is packed already in `g.packed` is not packed again.
    """
    headers, status = response.headers, response.status_code
    if response.is_streamed or status in (204, 206, 304):
        return response
    packs = may_be_packed(headers, len(response.get_data()))
    if packs:
        response.vary.add("Accept-Encoding")
    gzip = packs and takes_gzip(request.headers.get("Accept-Encoding", ""))
    sent = request.headers.get("If-None-Match")
    if sent is not None and status == 200 and request.method in ("GET", "HEAD"):
        etags = headers.getlist("ETag")
        of_packed = [packed_tag(etag) for etag in etags if packs]
        etags = [*of_packed, *etags] if gzip else [*etags, *of_packed]
        if (etag := held(sent, etags)) is not None:
            response.status_code = 304
            response.set_data(b"")
            response.headers = Headers(unchanged(headers, etag))
            return response
    if gzip:
        response.set_data(g.get("packed") or pack(response.get_data()))
        describe_packed(headers, len(response.get_data()))
    return response
