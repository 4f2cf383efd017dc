"""Running a view: once more where the database asks for it, once for all under a client's key."""

from __future__ import annotations

import errno
import tempfile
from typing import Any

import structlog
from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from trellis.api.idempotency import SAFE_METHODS, answered_once, idempotency_key
from trellis.api.kept import kept_answer
from trellis.api.preconditions import answer_if, condition_of, with_new_etag
from trellis.api.problems import problem
from trellis.db.faults import Fault, fault_of
from trellis.errors import ServiceUnavailable
from trellis.unit_of_work import commits_begun

log = structlog.get_logger(__name__)

_RETRY_AFTER = "2"
_TIMES_MORE = 3  # tasks may write again and again to what a client changes on a condition
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_UNKNOWN = (
    "The connection to the database ended while the change was committed, so it may have happened. "
    "Send the same request again with the same Idempotency-Key to learn its outcome."
)


def install_execution(app: Flask) -> None:
    """Run every view of the application through the rules of this module."""
    app.dispatch_request = lambda: _execute(app)  # type: ignore[method-assign]
    app.register_error_handler(SQLAlchemyError, _from_database)
    app.register_error_handler(OSError, _from_system)
    tempfile.gettempdir()  # it looks once: without a handle it would find none, and not say why


def _execute(app: Flask) -> Any:
    """The view's answer; it is asked again, some times, while the database took nothing of it.

    A transaction that was refused for the sake of another one, or whose connection ended before
    its commit, has left nothing behind. After a commit was sent, nobody knows: not again.
    """
    g.commits_before = commits = commits_begun()
    for _ in range(_TIMES_MORE):
        try:
            return _answer(app)
        except SQLAlchemyError as error:
            fault = fault_of(error)
            again = fault in (Fault.REFUSED, Fault.LOST) and commits_begun() == commits
            if not again or not _rewound():
                raise
            log.info("view_repeated", reason=fault.value if fault else None)
    return _answer(app)


def _answer(app: Flask) -> Any:
    def view() -> Any:
        return Flask.dispatch_request(app)

    if request.method in SAFE_METHODS:
        return kept_answer(app, view)
    condition, key = condition_of(app), idempotency_key()
    view = with_new_etag(app, view)
    if key is not None:
        return answered_once(app, key, view, condition.check if condition else None)
    return view() if condition is None else answer_if(app, view, condition)


def _rewound() -> bool:
    """Whether the body can be read from its beginning once more (what is parsed is kept)."""
    known = vars(request)
    if "files" not in known:
        return "_cached_data" in known or "stream" not in known
    for file in request.files.values():
        file.seek(0)
    return True


def _from_database(error: SQLAlchemyError) -> Response:
    fault = fault_of(error)
    if fault is None:
        raise error  # the statement is wrong, and so are we
    log.warning("database_failed_a_request", fault=fault.value, error=str(error.args[0]))
    commits = commits_begun()
    unknown = fault is Fault.LOST and g.get("commits_before", commits) != commits
    return problem(
        ServiceUnavailable,
        detail=_UNKNOWN if unknown else "The database is away or too busy for the moment.",
        headers={"Retry-After": _RETRY_AFTER},
    )


def _from_system(error: OSError) -> Response:
    if error.errno not in _EXHAUSTED:
        raise error
    log.error("system_exhausted", error=error.strerror)
    detail = "The server has no file handles or memory left for the moment."
    return problem(ServiceUnavailable, detail=detail, headers={"Retry-After": _RETRY_AFTER})
