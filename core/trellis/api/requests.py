"""What is checked of every request before its view runs: size, content type, query parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from flask import current_app, request

from trellis.api.declarations import V, declare, declared
from trellis.errors import (
    BadRequest,
    ContentTooLarge,
    FieldError,
    InvalidInput,
    UnsupportedMediaType,
)
from trellis_http.deprecation import Deprecation

Limit = Callable[[], int]

EXTENSION = "trellis.api"


@dataclass(frozen=True)
class Operation:
    """What one operation takes. `query` is None where unknown parameters are ignored.

    `schemas` are those of its input, by where it is read, and of its answers, by status.
    """

    operation_id: str
    schemas: tuple[tuple[str, Any], ...]
    content_types: tuple[str, ...] = ()
    deprecation: Deprecation | None = None
    query: frozenset[str] | None = None


def body_limit(limit: Limit) -> Callable[[V], V]:
    """Let a view take bodies up to `limit()` bytes instead of the application's bound."""

    def decorator(view: V) -> V:
        return declare(view, body_limit=limit)

    return decorator


def check_request() -> None:
    """Before-request hook; runs after the access rule, so that strangers learn nothing from it."""
    if "\x00" in request.path or b"%00" in request.query_string:
        raise BadRequest("The address contains NUL.")
    route = request.url_rule
    if route is None:
        return
    view = current_app.view_functions[route.endpoint]
    _check_size(cast("Limit | None", declared(view, _method(), "body_limit")))
    operation = _operation()
    if operation is not None:
        _check_content_type(operation)
        _check_query(operation)


def is_ours() -> bool:
    """Whether the rules of the house hold for this request, and not those of an open protocol."""
    operation = _operation()
    return operation is not None and operation.query is not None


def deprecation_headers() -> list[tuple[str, str]]:
    """What each answer of a deprecated operation says."""
    operation = _operation()
    if operation is None or operation.deprecation is None:
        return []
    return operation.deprecation.headers(f"{current_app.extensions[EXTENSION].public_url}/docs")


def _operation() -> Operation | None:
    operations: dict[tuple[str | None, str], Operation]
    operations = current_app.extensions[EXTENSION].operations
    return operations.get((request.endpoint, _method()))


def _method() -> str:
    return "GET" if request.method == "HEAD" else request.method


def _check_size(limit: Limit | None) -> None:
    if limit is not None:
        request.max_content_length = limit()
    most = request.max_content_length
    if most is not None and (request.content_length or 0) > most:
        raise ContentTooLarge(max_bytes=most)


def _check_content_type(operation: Operation) -> None:
    # A request without body and type passes: validation then says which fields are missing.
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    if not operation.content_types or not (has_body or request.content_type):
        return
    if request.mimetype not in operation.content_types:
        accepted = ", ".join(operation.content_types)
        header = "Accept-Patch" if request.method == "PATCH" else "Accept"
        raise UnsupportedMediaType(f"Send {accepted}.", headers={header: accepted})


def _check_query(operation: Operation) -> None:
    if operation.query is None:
        return
    unknown = [name for name in request.args if name not in operation.query]
    if unknown:
        raise InvalidInput(
            errors=[
                FieldError(location="query", pointer=f"/{name}", detail="Unknown parameter.")
                for name in unknown
            ]
        )
