"""The OpenAPI document of exactly what is installed: built once, served with an ETag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import make_schema_key, resolve_schema_instance
from flask import Flask, current_app, g
from werkzeug import Response

from trellis.api.access import access
from trellis.api.blueprint import Blueprint
from trellis.api.declarations import View, declared
from trellis.api.documentation import (
    SECURITY_SCHEME,
    document_body_limit,
    document_parameters,
    document_schema,
    error_response,
)
from trellis.api.evolution import list_error_codes, open_answers
from trellis.api.problems import CORE_ERRORS, MEDIA_TYPE
from trellis.api.requests import EXTENSION, Operation
from trellis.api.schemas import ProblemSchema
from trellis.errors import DomainError, InternalError
from trellis_http.coding import pack

_ABOUT = """\
Send the access token as `Authorization: Bearer …`. Errors are problem documents (RFC 9457);
programs compare `code`. Lists come in pages: ask for the next one with `cursor`, or follow `Link`.
Send an `Idempotency-Key` with whatever changes something, and try again with the same one when no
answer comes. Any release may bring further fields in answers and further codes of errors: ignore
those that you do not know. The limits are those of this installation."""


@dataclass(frozen=True)
class ApiFault:
    """Something wrong with the routes of a plugin."""

    plugin: str
    cause: str


class Api(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's Api with problem documents, stable names and one document; gathers faults."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask, *, public_url: str, version: str) -> None:
        self.public_url = public_url.rstrip("/")
        self.faults: list[ApiFault] = []
        self.errors: dict[str, type[DomainError]] = {error.code: error for error in CORE_ERRORS}
        self.operations: dict[tuple[str, str], Operation] = {}
        self._views: dict[str, tuple[View, str]] = {}  # by operation id
        self._plugin = "core"
        self._operation_ids: set[str] = set()
        self._schema_names: dict[str, type] = {}
        marshmallow = MarshmallowPlugin(self._schema_name)
        super().__init__(
            app,
            spec_kwargs={
                "title": "Trellis",
                "version": version,
                "openapi_version": "3.1.0",
                "marshmallow_plugin": marshmallow,
                "info": {
                    "description": _ABOUT,
                    "contact": {
                        "name": "Whoever runs this installation",
                        "url": self.public_url,
                    },
                    "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
                },
                "servers": [{"url": self.public_url}],
            },
        )
        assert marshmallow.converter is not None
        marshmallow.converter.add_attribute_function(portable_pattern)  # type: ignore[no-untyped-call]
        self.spec.components.security_scheme(
            SECURITY_SCHEME, {"type": "http", "scheme": "bearer", "bearerFormat": "at+jwt"}
        )
        app.extensions[EXTENSION] = self

    def add(self, plugin: str, blueprint: Blueprint) -> None:
        """Register a plugin's blueprint; what is wrong with it goes to `faults`."""
        self._plugin = plugin
        try:
            self.register_blueprint(blueprint)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's schema raises is that plugin's fault
            self._fault(f"{type(error).__name__}: {error}")

    def register_blueprint(self, blp: Blueprint, **options: Any) -> None:
        super().register_blueprint(blp, **options)
        self.operations |= blp.operations
        self._views |= {
            doc["operation_id"]: (doc["view"], method.upper())
            for methods in blp._docs.values()
            for method, doc in methods.items()
            if method != "parameters"
        }
        # One tag for each plugin, also when it has a second blueprint for a mount.
        self.spec._tags = [tag for tag in self.spec._tags if tag["name"] != blp.name]
        if all(tag["name"] != blp.plugin for tag in self.spec._tags):
            self.spec.tag({"name": blp.plugin, "description": blp.description})

    def note_operation(
        self,
        operation_id: str,
        *,
        errors: Collection[type[DomainError]],
        summary: str | None,
        bodies: int,
    ) -> None:
        """Take note of an operation, and of what is wrong with it."""
        if not summary:
            self._fault(f"operation {operation_id} has no docstring")
        if bodies > 1:
            self._fault(f"operation {operation_id} reads the body twice")
        if operation_id in self._operation_ids:
            self._fault(f"two operations are called {operation_id}")
        self._operation_ids.add(operation_id)
        for error in errors:
            if self.errors.setdefault(error.code, error) is not error:
                self._fault(f"two errors have the code {error.code}")

    def _fault(self, cause: str) -> None:
        self.faults.append(ApiFault(self._plugin, cause))

    # --- the document ---------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """The document as plain data."""
        document: dict[str, Any] = deepcopy(self.spec.to_dict())
        for name, kind in self._schema_names.items():
            document_schema(document["components"]["schemas"].get(name, {}), kind)
        list_error_codes(document, self.errors)
        open_answers(document)
        with self._app.app_context():  # in which settings, and so limits, are found
            for item in document["paths"].values():
                for operation in (one for one in item.values() if isinstance(one, dict)):
                    document_parameters(operation)
                    if "requestBody" in operation:
                        document_body_limit(operation, self._body_limit(operation["operationId"]))
        return document

    def _body_limit(self, operation_id: str) -> int | None:
        view, method = self._views[operation_id]
        limit = declared(view, method, "body_limit")
        most: int | None = limit() if limit else self._app.config["MAX_CONTENT_LENGTH"]
        return most

    @cached_property
    def rendered(self) -> tuple[bytes, str]:
        """The document as JSON, and its ETag."""
        body = json.dumps(self.document(), separators=(",", ":")).encode()
        return body, hashlib.sha256(body).hexdigest()[:32]

    @cached_property
    def packed(self) -> bytes:
        """The same with gzip."""
        return pack(self.rendered[0])

    def _schema_name(self, schema: Any) -> str:
        instance = resolve_schema_instance(schema)
        kind = type(instance)
        if make_schema_key(instance) != make_schema_key(kind()):
            return ""  # narrowed by `only` or `partial`: written out where it is used
        package = kind.__module__.partition(".")[0].removeprefix("trellis_")
        prefix = "Core" if package == "trellis" else _camel(package)
        name = prefix + kind.__name__.removesuffix("Schema").removeprefix(prefix)
        if self._schema_names.setdefault(name, kind) is not kind:
            self._fault(f"two schemas are called {name}")
            return ""
        return name

    # --- what flask-smorest calls ---------------------------------------------------------------

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                response["content"] = {MEDIA_TYPE: {"schema": self.ERROR_SCHEMA}}
            self.spec.components.response(status.name, response, lazy=True)
        for error in CORE_ERRORS:
            self.spec.components.response(error.__name__, error_response([error]), lazy=True)
        default = error_response([InternalError]) | {"description": "Any other error"}
        self.spec.components.response(self.DEFAULT_ERROR_RESPONSE_NAME, default, lazy=True)

    def _register_pagination_header(self) -> None:
        """Pages are keyset pages; flask-smorest's numbered ones are not in use."""

    def _register_error_handlers(self) -> None:
        """Errors are the business of `trellis.api.problems`."""


def portable_pattern(_converter: Any, _field: Any, ret: dict[str, Any], **_: Any) -> dict[str, Any]:
    r"""The document's patterns are ECMAScript's, which ends them with `$` and knows no `\Z`."""
    pattern: str = ret.get("pattern", "")
    return {"pattern": f"{pattern[:-2]}$"} if pattern.endswith(r"\Z") else {}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def export_openapi(app: Flask) -> str:
    """The document as readable JSON text."""
    api: Api = app.extensions[EXTENSION]
    return json.dumps(api.document(), indent=2, ensure_ascii=False) + "\n"


@access(public="the document tells nothing that a caller may not know")
def serve_document() -> Response:
    """The OpenAPI document."""
    api: Api = current_app.extensions[EXTENSION]
    body, etag = api.rendered
    response = Response(body, content_type="application/json")
    response.set_etag(etag)
    response.headers["Cache-Control"] = "no-cache"
    g.packed = api.packed
    return response
