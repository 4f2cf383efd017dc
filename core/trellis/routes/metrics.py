"""Figures for Prometheus, handed to whoever may see them."""

from __future__ import annotations

import hmac

from flask import Flask, Response, request

from trellis.api import access
from trellis.errors import NotFound, Unauthenticated
from trellis.observe.metrics import page
from trellis.runtime import runtime


def add_view(app: Flask) -> None:
    """Serve `/metrics`."""
    app.add_url_rule("/metrics", view_func=access(public="guarded by metrics_token")(metrics))


def metrics() -> Response:
    """Hand the figures to whoever may see them."""
    core = runtime().settings.core
    if core.metrics_token is None:
        if core.environment == "production":
            raise NotFound
    elif not _carries(core.metrics_token.get_secret_value()):
        raise Unauthenticated
    body, content_type = page(request.headers.get("Accept", ""))
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    return response


def _carries(token: str) -> bool:
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
