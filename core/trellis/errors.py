"""The refusals of the domain, the answers of a task that failed, and the end of a start.

Services raise these; they know nothing of HTTP frameworks. The API turns a `DomainError` into a
problem document (RFC 9457), the worker reads `Permanent`, `Transient` and `RetryLater`, the unit of
work reads `CommittedRefusal`, and the command line shows a `StartError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypedDict

Location = Literal["body", "query", "path", "header", "cookie", "form", "file"]

_CODE = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9_]*")
_RESERVED = frozenset({"type", "title", "status", "detail", "instance", "code", "request_id"})


class DomainError(Exception):
    """A refusal that a caller can understand and act on.

    A subclass states `code` (stable for ever, `<plugin>.<name>`), `status` (HTTP) and `title` (the
    same for every occurrence); `detail` tells of this occurrence. Keyword arguments become extra
    members of the problem document and must be JSON values, UUIDs or datetimes.
    """

    code: ClassVar[str] = "core.refused"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not _CODE.fullmatch(cls.code):
            raise TypeError(f"{cls.__qualname__}.code is {cls.code!r}; expected <plugin>.<name>")
        if not 400 <= cls.status <= 599:
            raise TypeError(f"{cls.__qualname__}.status is {cls.status}; expected 400 to 599")

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: int | None = None,
        **extensions: Any,
    ) -> None:
        """Tell of one occurrence; `retry_after` (seconds) is sent as member and as header."""
        if reserved := _RESERVED & extensions.keys():
            raise TypeError(
                f"reserved members of a problem document: {', '.join(sorted(reserved))}"
            )
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
            self.extensions["retry_after"] = retry_after


class CommittedRefusal(DomainError):
    """A refusal that must be remembered (a reused refresh token, a counted wrong guess).

    The unit of work commits what was written so far and then raises it; every other exception
    rolls back.
    """


class BadRequest(DomainError):
    """The request cannot be understood."""

    code = "core.bad_request"
    status = 400
    title = "The request cannot be understood"


class MalformedBody(DomainError):
    """The body is not the strict JSON that it claims to be."""

    code = "core.malformed_body"
    status = 400
    title = "The body is not well-formed"


class Unauthenticated(DomainError):
    """No credentials, or credentials that do not hold."""

    code = "core.unauthenticated"
    status = 401
    title = "Authentication is required"


class Forbidden(DomainError):
    """The caller is known and may not do this."""

    code = "core.forbidden"
    status = 403
    title = "This is not permitted"


class NotFound(DomainError):
    """It does not exist, or the caller may not know that it does."""

    code = "core.not_found"
    status = 404
    title = "Not found"


class MethodNotAllowed(DomainError):
    """The address exists, the method does not; `Allow` names those that do."""

    code = "core.method_not_allowed"
    status = 405
    title = "The method is not allowed here"


class Conflict(DomainError):
    """The request contradicts the present state."""

    code = "core.conflict"
    status = 409
    title = "The request conflicts with the present state"


class ResyncRequired(DomainError):
    """Changes after the cursor are gone: fetch everything anew, then go on with `cursor`."""

    code = "core.resync_required"
    status = 410
    title = "Changes after this cursor are not known any more"


class RequestInFlight(DomainError):
    """The first request with this `Idempotency-Key` has not been answered yet."""

    code = "core.request_in_flight"
    status = 409
    title = "The request with this Idempotency-Key is still under way"


class PreconditionFailed(DomainError):
    """A precondition header (`If-Match` …) does not hold."""

    code = "core.precondition_failed"
    status = 412
    title = "A precondition does not hold"


class PreconditionRequired(DomainError):
    """The operation changes only what its caller has seen, and `If-Match` was not sent."""

    code = "core.precondition_required"
    status = 428
    title = "If-Match is required here"


class ContentTooLarge(DomainError):
    """The body is larger than this operation accepts."""

    code = "core.content_too_large"
    status = 413
    title = "The body is too large"


class UnsupportedMediaType(DomainError):
    """The operation takes no body of this content type; `Accept` names those that it takes."""

    code = "core.unsupported_media_type"
    status = 415
    title = "The content type is not supported"


class RangeNotSatisfiable(DomainError):
    """The requested range lies outside the file; `Content-Range` tells its size."""

    code = "core.range_not_satisfiable"
    status = 416
    title = "The range is not satisfiable"


class FieldError(TypedDict):
    """One fault of an input: its location, the JSON pointer to the value, and what is wrong."""

    location: Location
    pointer: str
    detail: str


class InvalidInput(DomainError):
    """The request is well-formed, its values are not acceptable; `errors` says which and why."""

    code = "core.invalid_input"
    status = 422
    title = "The input is not valid"

    def __init__(self, detail: str | None = None, *, errors: Iterable[FieldError] = ()) -> None:
        super().__init__(detail, errors=list(errors))

    @classmethod
    def field(cls, pointer: str, detail: str, *, location: Location = "body") -> InvalidInput:
        """Blame one value, by its JSON pointer: `InvalidInput.field("/email", "…")`."""
        return cls(errors=[FieldError(location=location, pointer=pointer, detail=detail)])


class IdempotencyKeyReused(DomainError):
    """The `Idempotency-Key` came before, with another request."""

    code = "core.idempotency_key_reused"
    status = 422
    title = "This Idempotency-Key was used for another request"


class InternalError(DomainError):
    """A fault of the server; the request id leads to its cause in the log."""

    code = "core.internal_error"
    status = 500
    title = "The server met an unexpected condition"


class ServiceUnavailable(DomainError):
    """Something that the server needs is away for the moment."""

    code = "core.service_unavailable"
    status = 503
    title = "The service is not available right now"


class Permanent(Exception):
    """Raised by a task that must not be retried: it goes to the dead letters at once."""


class Transient(Exception):
    """Raised by a task that failed and may succeed another time. Operators read the text."""


class RetryLater(Exception):
    """Raised by a task that asks to run again after `seconds`, without counting as a fault."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:g} s")
        self.seconds = seconds


class StartError(Exception):
    """Nothing can be started; the text is one sentence that says why and what helps.

    The command line shows the sentence alone and exits with code 2.
    """
