"""A web process that was told to stop, while it still listens: proxies leave, nobody is refused.

A listener that closes resets the connections that wait in its queue, and a proxy may not repeat the
unsafe requests among them. So whoever sends requests has to know before. Active checks see the
readiness; nginx, which checks nothing, takes a server out for which an answer was 502.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

DRAINING = "trellis.draining"
"""Key of the environ that is there while the process drains."""

_SAFE = ("GET", "HEAD")
# Our nginx says so; to everybody else a 502 would be a failure.
_PASSES_ON = "HTTP_X_NEXT_UPSTREAM"


class Draining:
    """WSGI application around another one."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._draining = False

    def drain(self) -> None:
        """From now on send safe requests on, where the proxy can do that."""
        self._draining = True

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._draining:
            environ[DRAINING] = True
            if environ["REQUEST_METHOD"] in _SAFE and environ.get(_PASSES_ON) == "502":
                start_response("502 Bad Gateway", [("Content-Length", "0")])
                return []
        return self._application(environ, start_response)
