"""One id, one log line and one set of figures for every request."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from flask import Flask, Response, g, request

from trellis.observe.access_log import log_request
from trellis.observe.metrics import observe_request
from trellis.observe.statements import start_counting, statement_count

_SANE_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
# Asked every few seconds by machines: worth a line only when somebody looks for it.
_QUIET = ("/health/", "/metrics")


def watch(app: Flask) -> None:
    """Register the hooks; before all others, so that theirs run in between."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """The id of the current request, as its caller gets it in `X-Request-Id`."""
    identifier: str = g.request_id
    return identifier


def _begin() -> None:
    g.request_id = identifier_of(request.headers.get("X-Request-Id", ""))
    g.request_began = time.perf_counter()
    start_counting()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if request.blueprint is not None:
        # A blueprint below a mount has the mount after the plugin's name.
        structlog.contextvars.bind_contextvars(plugin=request.blueprint.partition("-")[0])


def identifier_of(given: str) -> str:
    """The id that a request brings along, or a new one."""
    return given if _SANE_ID.fullmatch(given) else os.urandom(16).hex()


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    seconds = time.perf_counter() - g.request_began
    # The template, never the path: a path names things, and there are endlessly many.
    route = request.url_rule.rule if request.url_rule is not None else None
    bound = structlog.contextvars.get_contextvars()
    note(bound, request.method, route, response.status_code, seconds, statement_count())
    return response


def note(
    bound: Mapping[str, Any],
    method: str,
    route: str | None,
    status: int,
    seconds: float,
    statements: int = 0,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Count an answered request, and write its line.

    With what is `bound` to each of its lines by whatever code, and with our own `fields`.
    """
    operation = f"{method} {route}" if route is not None else "unmatched"
    observe_request(operation, status, seconds, statements)
    log_request(
        bound,
        quiet=route is not None and route.startswith(_QUIET),
        method=method,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 2),
        statements=statements,
        **fields,
    )
