"""`If-Match`: nobody writes over what he has not seen (RFC 9110, section 13.1.1; RFC 6585)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, Response, current_app, request
from werkzeug.datastructures import ETags
from werkzeug.http import quote_etag

from trellis.api.conditional import etag_of
from trellis.api.declarations import View, declared
from trellis.api.idempotency import answer_in_unit
from trellis.api.requests import is_ours
from trellis.errors import PreconditionFailed, PreconditionRequired
from trellis.unit_of_work import collection
from trellis_http.coding import names

HEADER = "If-Match"


@dataclass(frozen=True)
class Guard:
    """Whose ETag a change takes, and whether it has to come with one."""

    of: View
    required: bool


@dataclass(frozen=True)
class Condition:
    """What has to be so that a request may write."""

    of: View
    tags: ETags

    def check(self) -> None:
        """In the transaction that is to write. Raises PreconditionFailed, and what `of` raises.

        That transaction sees one state of the database, and fails when it writes to a row that has
        changed since; the request is then run again, and sees the change.
        """
        shown = current_app.make_response(self.of(**(request.view_args or {})))
        if not names(self.tags, etag_of(shown)):
            raise PreconditionFailed("It has changed since; get it, and decide again.")


def condition_of(app: Flask) -> Condition | None:
    """The condition that this request sets. Raises PreconditionRequired for one that sets none.

    One that nobody would look at is refused (PreconditionFailed), or an update would be lost.
    """
    guard = _guard(app)
    if HEADER not in request.headers:
        if guard is not None and guard.required:
            raise PreconditionRequired(f"Send {HEADER} with the ETag of what you change.")
        return None
    if guard is not None:
        return Condition(guard.of, request.if_match)
    if is_ours():
        raise PreconditionFailed(f"This takes no condition; send no {HEADER}.")
    return None


def answer_if(app: Flask, view: Callable[[], Any], condition: Condition) -> Response:
    """What the view answers, whose writes are taken back unless the condition holds."""
    with collection(condition.check, isolated=True) as uow:
        response = answer_in_unit(app, uow, view)
        if response.status_code < 400:
            uow.session.flush()  # looks, even where nothing was written
        return response


def with_new_etag(app: Flask, view: Callable[[], Any]) -> Callable[[], Any]:
    """The view, whose answer has the ETag of what it shows when that is what the guard shows."""
    guard = _guard(app)
    if guard is None or not _shows_the_same(app, guard):
        return view

    def tagged() -> Response:
        response = app.make_response(view())
        if response.status_code == 200:
            response.headers["ETag"] = quote_etag(etag_of(response))
        return response

    return tagged


def _guard(app: Flask) -> Guard | None:
    return cast("Guard | None", _declared(app, "guard"))


def _shows_the_same(app: Flask, guard: Guard) -> bool:
    return declared(guard.of, "GET", "shows") is _declared(app, "shows")


def _declared(app: Flask, fact: str) -> Any:
    rule = request.url_rule
    return rule and declared(app.view_functions[rule.endpoint], request.method, fact)
