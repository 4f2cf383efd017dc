"""Every view states who may call it, one hook enforces it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask.views import MethodView

from trellis.api import Blueprint, Requires, access, current_principal, undeclared_views

ASKS = "Bearer"
INVALID = 'Bearer error="invalid_token"'
SCOPE = 'Bearer error="insufficient_scope", scope="things.write"'


@access(user=True)
def plain() -> str:
    return "secret"


def routes() -> Blueprint:
    things = Blueprint("things", __name__, description="Things")

    @things.get("/open")
    @things.access(public="everybody may look")
    @things.response(204)
    def look() -> None:
        """Look."""

    @things.get("/mine")
    @things.response(200)
    @things.access(user=True)
    def mine() -> Any:
        """Show mine."""
        return {"id": str(current_principal().id)}

    @things.access(permission="things.write")  # above the route, on what was registered
    @things.route("/write", methods=["POST", "PUT"])
    @things.response(204)
    def write() -> None:
        """Write."""

    @things.route("/class")
    @things.access(user=True)
    class Shelf(MethodView):
        def get(self) -> Any:
            """Show the shelf."""
            return {}

        @things.access(permission="things.write")
        @things.response(204)
        def delete(self) -> None:
            """Clear the shelf."""

        @things.access(public="suggestions are welcome")
        @things.response(204)
        def post(self) -> None:
            """Suggest a thing."""

    return things


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    app = make_app(routes())
    # a view outside the document is bound by its rule as well
    app.add_url_rule("/v1/things/plain", view_func=plain)
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "token", "status", "challenge"),
    [
        ("GET", "/open", None, 204, None),
        ("GET", "/open", "Bearer forged", 204, None),
        ("GET", "/mine", None, 401, ASKS),
        ("GET", "/mine", "Basic YTpi", 401, ASKS),
        ("GET", "/mine", "Bearer forged", 401, INVALID),
        ("GET", "/mine", "Bearer bob", 200, None),
        ("HEAD", "/mine", "Bearer bob", 200, None),
        ("HEAD", "/mine", None, 401, ASKS),
        ("OPTIONS", "/mine", None, 200, None),
        ("GET", "/mine?access_token=bob", None, 401, ASKS),
        ("GET", "/mine", "Bearer robot", 403, None),
        ("POST", "/write", None, 401, ASKS),
        ("POST", "/write", "Bearer bob", 403, SCOPE),
        ("POST", "/write", "Bearer ada", 204, None),
        ("PUT", "/write", "Bearer bob", 403, SCOPE),
        ("PUT", "/write", "Bearer robot", 204, None),
        ("GET", "/class", None, 401, ASKS),
        ("GET", "/class", "Bearer bob", 200, None),
        ("HEAD", "/class", None, 401, ASKS),
        ("DELETE", "/class", "Bearer bob", 403, SCOPE),
        ("DELETE", "/class", "Bearer ada", 204, None),
        ("POST", "/class", None, 204, None),
        ("GET", "/plain", None, 401, ASKS),
        ("GET", "/nowhere", None, 404, None),
        ("PATCH", "/mine", None, 405, None),
    ],
)
def test_rule(
    client: FlaskClient,
    method: str,
    path: str,
    token: str | None,
    status: int,
    challenge: str | None,
) -> None:
    headers = {"Authorization": token} if token else {}
    response = client.open("/v1/things" + path, method=method, headers=headers)
    assert response.status_code == status
    assert response.headers.get("WWW-Authenticate") == challenge


def test_missing_permission_is_named(client: FlaskClient) -> None:
    answer = client.post("/v1/things/write", headers={"Authorization": "Bearer bob"}).get_json()
    assert answer["code"] == "core.forbidden"
    assert answer["permission"] == "things.write"


@pytest.mark.parametrize(("path", "asked"), [("/open", 0), ("/mine", 1)])
def test_identity_is_asked_once_and_only_where_needed(
    client: FlaskClient, tokens: Any, path: str, asked: int
) -> None:
    client.get("/v1/things" + path, headers={"Authorization": "Bearer ada"})
    assert tokens.asked == asked


def test_public_view_has_no_principal(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    with app.test_request_context(), pytest.raises(RuntimeError, match="public"):
        current_principal()


def test_view_without_rule_is_refused_and_listed(make_app: Callable[..., Flask]) -> None:
    things = Blueprint("things", __name__)

    @things.route("/forgotten", methods=["GET", "POST"])
    @things.response(200)
    def forgotten() -> Any:
        """Forgotten."""
        return {"secret": 1}

    app = make_app(things)
    app.add_url_rule("/plain", "plain", lambda: "secret")
    answer = app.test_client().get("/v1/things/forgotten", headers={"Authorization": "Bearer ada"})
    assert answer.status_code == 403
    assert "secret" not in answer.text
    assert app.test_client().get("/plain").status_code == 403
    assert {str(view) for view in undeclared_views(app)} == {
        "GET /v1/things/forgotten (things.forgotten)",
        "POST /v1/things/forgotten (things.forgotten)",
        "GET /plain (plain)",
    }


def test_nothing_of_the_core_is_undeclared(make_app: Callable[..., Flask]) -> None:
    assert undeclared_views(make_app(routes())) == []


@pytest.mark.parametrize(
    "stated",
    [{}, {"public": ""}, {"user": False}, {"public": "x", "user": True}, {"permission": ""}],
)
def test_rule_must_be_one(stated: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one"):
        access(**stated)


def test_rule_is_found_above_and_below_other_decorators() -> None:
    assert access(permission="a.b")(lambda: None)._trellis_declared == {  # type: ignore[attr-defined]
        "access": Requires("a.b")
    }
