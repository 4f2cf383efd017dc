"""In front of Flask: what this process keeps is answered by it, under the same rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

from trellis.api.access import Public, caller_key, permits
from trellis.api.kept import Answer, answer_key, target_of
from trellis.cache.shared import SharedCache, current_cache
from trellis.contracts import Principal
from trellis.observe.request import identifier_of, note
from trellis_http.coding import held, unchanged

_SAFE = frozenset({"GET", "HEAD"})
_NO_BODY = (None, "", "0")

Environ = dict[str, Any]
WSGIApplication = Callable[[Environ, Any], Iterable[bytes]]


class Front:
    """WSGI application around another one, whose answers it gives for as long as they are kept.

    Revoked callers and outdated answers are gone from what a process keeps before the change is
    answered (see `trellis.cache`); whatever is not found here, or not permitted, goes on to Flask.
    """

    def __init__(self, app: Flask, application: WSGIApplication) -> None:
        self._application = application
        with app.app_context():
            self._cache: SharedCache = current_cache()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if self._cache.first.is_on and environ["REQUEST_METHOD"] in _SAFE:
            began = time.perf_counter()
            answer = self._found(environ)
            if answer is not None:
                return self._give(answer, environ, start_response, began)
        return self._application(environ, start_response)

    def _found(self, environ: Environ) -> Answer | None:
        if environ.get("CONTENT_LENGTH") not in _NO_BODY or "HTTP_TRANSFER_ENCODING" in environ:
            return None
        self._cache.follow()
        get = self._cache.first.get
        target = target_of(environ)
        answer: Answer | None = get(answer_key(None, target))
        if answer is not None and isinstance(answer.rule, Public):
            return answer
        authorization = environ.get("HTTP_AUTHORIZATION")
        if authorization is None:
            return None
        caller: Principal | None = get(caller_key(authorization))
        if caller is None:
            return None
        if answer is None:
            answer = get(answer_key(caller, target))
        return answer if answer is not None and permits(answer.rule, caller) else None

    def _give(
        self, answer: Answer, environ: Environ, start_response: Any, began: float
    ) -> Iterable[bytes]:
        identifier = identifier_of(environ.get("HTTP_X_REQUEST_ID", ""))
        forms = answer.forms(environ.get("HTTP_ACCEPT_ENCODING", ""))
        status, body = "200 OK", forms[0].body
        headers = [*forms[0].headers, ("X-Request-Id", identifier)]
        sent = environ.get("HTTP_IF_NONE_MATCH")
        if sent and (etag := held(sent, [form.etag for form in forms if form.etag])):
            status, body = "304 NOT MODIFIED", b""
            headers = unchanged(headers, etag)
        start_response(status, headers)
        answer.reads.inc()
        method = environ["REQUEST_METHOD"]
        seconds = time.perf_counter() - began
        code = int(status[:3])
        told = {"request_id": identifier, "plugin": answer.scope}
        note({}, method, answer.route, code, seconds, fields=told)
        return [] if method == "HEAD" or not body else [body]
