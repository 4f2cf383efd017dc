"""Which web pages may call an API from a browser (CORS, as the Fetch standard has it).

Pages are named, never guessed: no wildcard, and no cookie travels along (`Allow-Credentials` is
never sent), so what another page of the same browser has signed in for is of no use to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

Headers = list[tuple[str, str]]
WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

# As browsers send it: in lower case, without a path, without the scheme's own port.
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://"
    r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_USUAL_PORTS = {"http": "80", "https": "443"}
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, -]+")
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_PREFLIGHT_SECONDS = "7200"  # Chromium's most
# What every script may read, and what none may.
_NOT_TO_BE_EXPOSED = frozenset(
    {
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
        "set-cookie",
        "vary",
    }
)


def check_origin(value: str) -> str:
    """The value, when a browser would send it as `Origin`. Raises ValueError."""
    match = _ORIGIN.fullmatch(value)
    scheme = value.partition(":")[0]
    if match is None or match["port"] == _USUAL_PORTS.get(scheme, ""):
        raise ValueError(
            "each must be one origin as browsers send it: scheme://host in lower case, with the "
            "port if it is not the usual one, without a path; * is not taken"
        )
    return value


class Cors:
    """WSGI application around another one: named origins may call it, and read what it answers.

    It answers the preflight requests of those origins. To all others it adds nothing but `Vary`.
    """

    def __init__(self, application: WSGIApplication, origins: Iterable[str]) -> None:
        self._application = application
        self._origins = frozenset(origins)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        allowed = origin if origin in self._origins else None
        asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if allowed is not None and asked and environ["REQUEST_METHOD"] == "OPTIONS":
            start_response("204 No Content", _preflight(allowed, environ))
            return []

        def start(status: str, headers: Headers, *rest: Any) -> Any:
            return start_response(status, _with_cors(headers, allowed), *rest)

        return self._application(environ, start)


def _preflight(origin: str, environ: dict[str, Any]) -> Headers:
    headers = [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Max-Age", _PREFLIGHT_SECONDS),
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ("Cache-Control", "no-store"),
    ]
    names = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    if _NAMES.fullmatch(names):  # whoever is let in may send any
        headers.append(("Access-Control-Allow-Headers", names))
    return headers


def _with_cors(headers: Headers, origin: str | None) -> Headers:
    varies = [value for name, value in headers if name.lower() == "vary"]
    found = [pair for pair in headers if pair[0].lower() != "vary"]
    found.append(("Vary", ", ".join([*varies, "Origin"])))
    if origin is not None:
        names = {name.lower(): name for name, _ in found}
        exposed = [names[name] for name in names if name not in _NOT_TO_BE_EXPOSED]
        found.append(("Access-Control-Allow-Origin", origin))
        found.append(("Access-Control-Expose-Headers", ", ".join(exposed)))
    return found
