"""Every error of every kind leaves as a problem document (RFC 9457).

`type` is `/docs/errors#<code>`: a reference with its whole path, the same on every installation,
that opens the page of error codes on the server that sent it. Programs compare `code`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, InternalServerError

from trellis import errors
from trellis.errors import DomainError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class HTTPError(DomainError):
    """A failure that HTTP itself defines and that has no code of its own; `status` tells which."""

    code = "core.http_error"
    title = "The request failed"


CORE_ERRORS: tuple[type[DomainError], ...] = (
    errors.BadRequest,
    errors.MalformedBody,
    errors.Unauthenticated,
    errors.Forbidden,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.Conflict,
    errors.RequestInFlight,
    errors.ResyncRequired,
    errors.PreconditionFailed,
    errors.PreconditionRequired,
    errors.ContentTooLarge,
    errors.UnsupportedMediaType,
    errors.RangeNotSatisfiable,
    errors.InvalidInput,
    errors.IdempotencyKeyReused,
    errors.InternalError,
    errors.ServiceUnavailable,
    HTTPError,
)
# The first of a status wins. 410 by itself says that something is gone, which need not be a cursor.
_BY_STATUS = {
    error.status: error for error in reversed(CORE_ERRORS) if error is not errors.ResyncRequired
}

_DEFAULT_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "5"},
}


def install_problems(app: Flask) -> None:
    """Answer every error with a problem document, and log what was not expected."""
    # Flask's own default would raise through the server whenever TESTING or DEBUG is set.
    app.config["PROPAGATE_EXCEPTIONS"] = bool(app.config["PROPAGATE_EXCEPTIONS"])
    app.register_error_handler(DomainError, _from_domain)
    app.register_error_handler(HTTPException, _from_http)
    app.log_exception = _log_exception  # type: ignore[method-assign]


def problem_type(code: str) -> str:
    """The `type` member for an error code."""
    return f"/docs/errors#{code}"


def problem(
    error: type[DomainError],
    *,
    status: int | None = None,
    title: str | None = None,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Response:
    """The response for one occurrence of an error."""
    status = status or error.status
    members = {
        "type": problem_type(error.code),
        "title": title or error.title,
        "status": status,
        "code": error.code,
        **({"detail": detail} if detail else {}),
        "request_id": g.get("request_id"),
        **(extensions or {}),
    }
    response = Response(current_app.json.dumps(members), status, content_type=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(_DEFAULT_HEADERS.get(status, {}))
    response.headers.update(headers or {})
    return response


def _from_domain(error: DomainError) -> Response:
    return problem(
        type(error), detail=error.detail, headers=error.headers, extensions=error.extensions
    )


def _from_http(error: HTTPException) -> Any:
    if error.response is not None or error.code is None or error.code < 400:
        return error  # a redirect, 304, or a response that somebody made on purpose
    known = _BY_STATUS.get(error.code)
    # werkzeug's stock sentences speak to somebody before a browser
    stock = isinstance(error, InternalServerError) or error.description == type(error).description
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return problem(
        known or HTTPError,
        status=error.code,
        title=None if known else error.name,
        detail=None if stock else error.description,
        headers=headers,
    )


def _log_exception(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None],
) -> None:
    route = request.url_rule
    logger.error(
        "unhandled exception in %s %s",
        request.method,
        route.rule if route else "",
        exc_info=exc_info,
        extra={"request_id": g.get("request_id")},
    )
