"""The whole application: its one document, who may call what, its pages, and production's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from trellis.api import Public, Requires, view_access
from trellis.api.openapi import Api
from trellis.api.requests import EXTENSION
from trellis.app import create_app
from trellis.contracts import Mailbox, PushSink
from trellis.db.base import db
from trellis.runtime import Runtime

BUNDLED = ("analytics", "auth", "media", "notifications", "webhooks")
SOME_ID = "00000000-0000-7000-8000-000000000000"
# Whoever opens a further address to everybody changes this list, and is asked why.
PUBLIC = {
    "GET /.well-known/jwks.json",
    "GET /docs",
    "GET /docs/assets/<name>",
    "GET /docs/errors",
    "GET /health/live",
    "GET /health/ready",
    "GET /local/mailbox",
    "GET /local/mailbox/<mail_id>",
    "GET /local/push",
    "GET /local/static/<path:filename>",
    "GET /metrics",
    "GET /v1/erasures/<uuid:erasure_id>",
    "GET /v1/media/public/<uuid:asset_id>/<name>",
    "GET /v1/openapi.json",
    "POST /v1/auth/accounts",
    "POST /v1/auth/accounts/verification",
    "POST /v1/auth/accounts/verify",
    "POST /v1/auth/sessions",
    "POST /v1/auth/tokens",
}
PERMISSIONS = {
    "GET /v1/analytics/reports/daily-active-users": "analytics.read",
    "GET /v1/analytics/reports/event-counts": "analytics.read",
    "DELETE /v1/jobs/<uuid:job_id>": "core.jobs",
    "GET /v1/jobs": "core.jobs",
    "GET /v1/jobs/<uuid:job_id>": "core.jobs",
    "GET /v1/jobs/statistics": "core.jobs",
    "POST /v1/jobs/<uuid:job_id>/retry": "core.jobs",
    "POST /v1/jobs/drop": "core.jobs",
    "POST /v1/jobs/retry": "core.jobs",
    "DELETE /v1/webhooks/endpoints/<uuid:endpoint_id>": "webhooks.manage",
    "GET /v1/webhooks/deliveries": "webhooks.manage",
    "GET /v1/webhooks/deliveries/<uuid:delivery_id>": "webhooks.manage",
    "GET /v1/webhooks/endpoints": "webhooks.manage",
    "GET /v1/webhooks/endpoints/<uuid:endpoint_id>": "webhooks.manage",
    "PATCH /v1/webhooks/endpoints/<uuid:endpoint_id>": "webhooks.manage",
    "POST /v1/webhooks/deliveries/<uuid:delivery_id>/redeliver": "webhooks.manage",
    "POST /v1/webhooks/endpoints": "webhooks.manage",
    "POST /v1/webhooks/endpoints/<uuid:endpoint_id>/rotate": "webhooks.manage",
    "POST /v1/webhooks/endpoints/<uuid:endpoint_id>/test": "webhooks.manage",
}


def bundled_views(app: Flask) -> Iterator[Any]:
    """The views of the core and the bundled plugins; tests may run beside others' plugins."""
    for view in view_access(app):
        owner = getattr(app.blueprints.get(view.endpoint.partition(".")[0]), "plugin", "core")
        if owner in ("core", *BUNDLED):
            yield view


def called(view: Any) -> str:
    return f"{view.method} {view.path}"


def address(view: Any) -> str:
    return re.sub(r"<[^>]+>", SOME_ID, view.path)


@pytest.fixture
def api(app: Flask) -> Api:
    api: Api = app.extensions[EXTENSION]
    return api


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/v1/openapi.json").get_json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield f"{method.upper()} {path}", operation


# --- the document -------------------------------------------------------------------------------


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert {"core", *BUNDLED} <= set(tags)
    assert all(tags.values())


def test_every_operation_is_named_after_its_plugin_and_says_who_may_call_it(
    document: dict[str, Any],
) -> None:
    ids = set()
    for name, operation in operations(document):
        [tag] = operation["tags"]
        assert operation["operationId"].startswith(f"{tag}_"), name
        assert operation["operationId"] not in ids, name
        ids.add(operation["operationId"])
        assert operation["summary"], name
        assert "security" in operation, name
        assert {"401", "403"} <= set(operation["responses"]) or not operation["security"], name
        assert "default" in operation["responses"], name
    assert {"media_upload_asset", "auth_sign_in", "analytics_track", "core_open_stream"} <= ids


def test_every_schema_is_named_after_its_plugin(document: dict[str, Any]) -> None:
    owners = ("Core", "ErrorCode", *(name.capitalize() for name in BUNDLED))
    loaded = {tag["name"].capitalize() for tag in document["tags"]}
    for name in document["components"]["schemas"]:
        assert name.startswith((*owners, *loaded)), name


def test_every_example_of_a_body_fits_its_schema(document: dict[str, Any]) -> None:
    fitted = 0
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for media_type, content in body.get("content", {}).items():
                examples = [entry["value"] for entry in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                for example in examples:
                    schema = {**content["schema"], "components": document["components"]}
                    faults = list(Draft202012Validator(schema).iter_errors(example))
                    assert not faults, f"{name} {media_type}: {faults[0].message}"
                    fitted += 1
    assert fitted > 30


def test_patterns_are_those_of_ecmascript(document: dict[str, Any]) -> None:
    patterns = re.findall(r'"pattern": "((?:[^"\\\\]|\\\\.)*)"', json.dumps(document))
    assert patterns
    for pattern in patterns:
        assert not re.search(r"\\[AZz]|\(\?[P#<i]", json.loads(f'"{pattern}"')), pattern


def test_every_error_code_is_in_the_document_and_on_its_page(
    api: Api, document: dict[str, Any], client: FlaskClient
) -> None:
    codes = document["components"]["schemas"]["ErrorCode"]["x-extensible-enum"]
    assert codes == sorted(api.errors)
    page = client.get("/docs/errors").text
    for code in codes:
        assert f'id="{code}"' in page, code


# --- who may call what --------------------------------------------------------------------------


def test_what_is_public_is_so_on_purpose(app: Flask) -> None:
    public = {called(view) for view in bundled_views(app) if isinstance(view.rule, Public)}
    assert public == PUBLIC


def test_what_needs_a_permission_is_so_on_purpose(app: Flask) -> None:
    found = {
        called(view): view.rule.permission
        for view in bundled_views(app)
        if isinstance(view.rule, Requires)
    }
    assert found == PERMISSIONS


def test_nobody_is_let_in_anywhere_else(app: Flask, client: FlaskClient) -> None:
    refused = 0
    for view in bundled_views(app):
        answer = client.open(address(view), method=view.method)
        if called(view) in PUBLIC:
            assert answer.status_code not in (401, 403), called(view)
        else:
            assert answer.status_code == 401, called(view)
            assert answer.get_json()["code"] == "core.unauthenticated", called(view)
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("token", ["Bearer x", "Bearer ", "Basic dXM6cHc=", "Bearer a.b.c", "x"])
def test_credentials_that_do_not_hold_are_refused(
    app: Flask, client: FlaskClient, token: str
) -> None:
    for view in bundled_views(app):
        if not isinstance(view.rule, Public):
            answer = client.open(
                address(view), method=view.method, headers={"Authorization": token}
            )
            assert answer.status_code == 401, called(view)


def test_a_person_is_no_operator(
    client: FlaskClient, as_user: Callable[..., Any], as_operator: Callable[..., Any]
) -> None:
    for name, permission in PERMISSIONS.items():
        method, path = re.sub(r"<[^>]+>", SOME_ID, name).split()
        for who in (as_user(), as_operator("media.read")):
            answer = client.open(path, method=method, headers=who)
            assert (answer.status_code, answer.get_json()["permission"]) == (403, permission)
        assert client.open(path, method=method, headers=as_operator(permission)).status_code != 403


def test_a_method_that_an_address_does_not_have_gets_405_and_those_that_it_has(
    app: Flask, client: FlaskClient
) -> None:
    methods: dict[str, set[str]] = {}
    for view in bundled_views(app):
        methods.setdefault(address(view), set()).add(view.method)
    for path, known in methods.items():
        missing = ({"GET", "POST", "PUT", "PATCH", "DELETE"} - known).pop()
        answer = client.open(path, method=missing)
        assert answer.status_code == 405, f"{missing} {path}"
        assert known <= set(answer.headers["Allow"].split(", ")), path
        assert answer.get_json()["code"] == "core.method_not_allowed"


def test_no_redirect_is_built_from_the_host_header(client: FlaskClient) -> None:
    answer = client.get("/v1//media/assets", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "Location" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v2/media/assets", "/v1/media", "/docs/x"])
def test_an_unknown_address_gets_a_problem(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]


# --- the pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["/docs", "/docs/errors", "/local/mailbox", "/local/push"])
def test_a_page_asks_no_other_host(client: FlaskClient, page: str) -> None:
    answer = client.get(page, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    asked = re.findall(r'(?:src|href)="([^"#]+)', answer.text)
    assert asked
    for reference in asked:
        assert not re.match(r"[a-z]+:|//", reference), reference
        with client.get(urljoin(page, reference)) as asset:
            assert asset.status_code == 200, reference


def test_the_documentation_page_shows_the_document(client: FlaskClient) -> None:
    page = client.get("/docs").text
    scripts = re.findall(r'<script[^>]* src="([^"]+)"', page)
    texts = [page]
    for script in scripts:
        with client.get(urljoin("/docs", script)) as asset:
            texts.append(asset.get_data(as_text=True))
    assert any('fetch("v1/openapi.json")' in text for text in texts)


# --- production ---------------------------------------------------------------------------------


@pytest.fixture
def in_production(
    app_environ: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Flask]:
    """A second application over the same database, as production has it."""
    monkeypatch.setenv("TRELLIS_ENVIRONMENT", "production")
    monkeypatch.setenv("TRELLIS_PUBLIC_URL", "https://api.example.org")
    monkeypatch.setenv("TRELLIS_STORAGE_URL", f"file://{tmp_path}")
    monkeypatch.setenv("TRELLIS_SECRET_KEYS", "k" * 48)
    monkeypatch.setenv("TRELLIS_NOTIFICATIONS__MAIL_URL", "smtp://mail.example.com")
    made = create_app()
    yield made
    with made.app_context():
        db.engine.dispose()


def test_production_shows_nobody_what_a_laptop_shows(in_production: Flask) -> None:
    client = in_production.test_client()
    for path in ("/local/mailbox", "/local/push", "/metrics"):
        assert client.get(path).status_code == 404, path
    runtime: Runtime = in_production.extensions["trellis"]
    assert not {Mailbox, PushSink} & set(runtime.ports)
    assert client.get("/docs").status_code == 200


def test_production_hides_what_went_wrong(
    in_production: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trellis.privacy.erasure.state", lambda _: int("the inner secret"))
    answer = in_production.test_client().get(f"/v1/erasures/{SOME_ID}")
    assert (answer.status_code, answer.get_json()["code"]) == (500, "core.internal_error")
    assert "inner secret" not in answer.text
    assert "Traceback" not in answer.text
