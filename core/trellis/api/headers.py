"""The headers that every response carries unless its view said otherwise."""

from __future__ import annotations

from flask import Response, request


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
    if response.status_code == 204:
        headers.pop("Content-Type", None)
    return response
