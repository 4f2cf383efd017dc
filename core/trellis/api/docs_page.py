"""The documentation page `/docs` and the page of error codes; neither asks another host.

Swagger UI's files come out of the installed package `flask_swagger_ui`; nothing else of it is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    render_template,
    send_from_directory,
)

from trellis.api.access import access
from trellis.api.requests import EXTENSION
from trellis.errors import NotFound

# Styles may be inline: Swagger UI's components set them. Scripts may not.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OWN = frozenset({"docs.css", "docs.js"})
_SWAGGER_UI = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"})

docs_page = Blueprint(
    "docs", __name__, url_prefix="/docs", template_folder="templates", static_folder=None
)


@docs_page.get("")
@access(public="documentation")
def show_docs() -> Response:
    """The documentation of the API, to read and to try out."""
    return _page(render_template("docs.html"))


@docs_page.get("/errors")
@access(public="documentation")
def show_errors() -> Response:
    """The error codes; the `type` of every problem leads here."""
    known = current_app.extensions[EXTENSION].errors
    return _page(
        render_template("docs_errors.html", errors=[known[code] for code in sorted(known)])
    )


@docs_page.get("/assets/<name>")
@access(public="documentation")
def send_asset(name: str) -> Response:
    """A script or stylesheet of the pages."""
    if name in _OWN:
        folder = Path(__file__).parent / "static"
    elif name in _SWAGGER_UI:
        folder = _swagger_ui()
    else:
        raise NotFound
    response = send_from_directory(folder, name)
    response.headers["Cache-Control"] = "no-cache"  # always asked for again, mostly answered 304
    return response


def _swagger_ui() -> Path:
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise NotFound("The package flask-swagger-ui is not installed.")
    return Path(spec.origin).parent / "dist"


def _page(html: str) -> Response:
    response = make_response(html)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
