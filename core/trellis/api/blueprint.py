"""The blueprint of a plugin's routes: flask-smorest's, with the rules of the house."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Any, cast

import flask_smorest
from flask import Response, current_app
from flask_smorest.utils import set_status_and_headers_in_response, unpack_tuple_response
from marshmallow import Schema

from trellis.api.access import access
from trellis.api.arguments import ArgumentsParser
from trellis.api.conditional import tagged
from trellis.api.declarations import V, View, declare, declared, stated
from trellis.api.documentation import (
    arguments_in,
    as_schema,
    body_arguments,
    document_access,
    document_blob,
    document_deprecation,
    document_errors,
    document_etag,
    document_fields,
    document_idempotency,
    document_if_match,
    fill_examples,
    operation_id,
    possible_errors,
)
from trellis.api.idempotency import SAFE_METHODS
from trellis.api.pages import next_link, page_schema
from trellis.api.preconditions import Guard
from trellis.api.requests import Operation, body_limit
from trellis.api.schemas import PageArguments
from trellis.api.sparse import FIELDS, SparseEncoder
from trellis.errors import DomainError
from trellis.paging import Page
from trellis_http.deprecation import Deprecation
from trellis_schemas.answers import Encoder, obstacle
from trellis_schemas.merge_patch import MEDIA_TYPE as MERGE_PATCH
from trellis_schemas.merge_patch import patch_schema


class JSONResponse(Response):
    """What a schema has written."""

    default_mimetype = "application/json"


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """Routes below `/v1/<name>`, or below `mount` for a protocol with addresses of its own.

    `name` is the plugin's. Every route states `access`; the other decorators come in any order that
    flask-smorest permits. The first line of a view's docstring is its summary in the document.
    Below `/v1` unknown query parameters are refused, elsewhere they are ignored.
    """

    ARGUMENTS_PARSER = ArgumentsParser()

    access = staticmethod(access)
    body_limit = staticmethod(body_limit)

    def __init__(
        self, name: str, import_name: str, *, description: str = "", mount: str | None = None
    ) -> None:
        suffix = (mount or "").replace(".", "").replace("/", "-")
        super().__init__(
            name + suffix,
            import_name,
            url_prefix=f"/v1/{name}" if mount is None else mount,
            description=description,
        )
        self.plugin = name
        # Elsewhere the rules are those of the protocol that has these addresses.
        self.is_ours = self.url_prefix.startswith("/v1/")
        self.operations: dict[tuple[str, str], Operation] = {}
        self._prepare_doc_cbks.insert(0, self._prepare_first)
        self._prepare_doc_cbks.append(self._prepare_last)

    # --- decorators, typed so that views stay typed ---------------------------------------------

    def route(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register a view function (`methods=[…]`, default GET) or a MethodView."""
        return cast("Callable[[V], V]", super().route(rule, **options))

    def get(self, rule: str, **options: Any) -> Callable[[V], V]:
        """`route` for GET."""
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Callable[[V], V]:
        """`route` for POST."""
        return self.route(rule, methods=["POST"], **options)

    def put(self, rule: str, **options: Any) -> Callable[[V], V]:
        """`route` for PUT."""
        return self.route(rule, methods=["PUT"], **options)

    def patch(self, rule: str, **options: Any) -> Callable[[V], V]:
        """`route` for PATCH."""
        return self.route(rule, methods=["PATCH"], **options)

    def delete(self, rule: str, **options: Any) -> Callable[[V], V]:
        """`route` for DELETE."""
        return self.route(rule, methods=["DELETE"], **options)

    def arguments(self, schema: Any, *, location: str = "json", **options: Any) -> Callable[[V], V]:
        """Read arguments from `json`, `query`, `form`, `files`, `headers` or `path`."""
        return cast("Callable[[V], V]", super().arguments(schema, location=location, **options))

    def response(self, status_code: int, schema: Any = None, **options: Any) -> Callable[[V], V]:
        """State the answer; what the view returns is serialised by the schema."""
        schema = as_schema(schema) or schema
        documented = super().response(status_code, schema, **options)
        if not isinstance(schema, Schema):
            return cast("Callable[[V], V]", documented)
        whole = Encoder(schema)
        sparse = self.is_ours and obstacle(schema) is None
        chosen = SparseEncoder(schema, whole).of_request if sparse else lambda: whole

        def decorator(view: V) -> V:
            @wraps(view)
            def encoded(*args: Any, **kwargs: Any) -> Any:
                encoder = chosen()  # first: it refuses what there is not
                returned = current_app.ensure_sync(view)(*args, **kwargs)
                body, status, headers = unpack_tuple_response(returned)
                if isinstance(body, Response):
                    return returned
                response = JSONResponse(encoder.encode(body))
                set_status_and_headers_in_response(response, status or status_code, headers)
                return tagged(response)

            facts = {"etag": True, "sparse": sparse, "shows": type(schema)}
            return cast("V", documented(declare(encoded, **facts)))

        return decorator

    def if_match(self, of: View, *, required: bool = False) -> Callable[[V], V]:
        """Let a change take `If-Match` with the ETag of `of`, the view of its GET.

        It happens only while that is what the database holds (else 412), whoever writes besides;
        where it is `required`, one without is refused (428). `of` takes the same arguments from
        the path, and has a schema.
        """
        if not declared(of, "GET", "etag"):
            raise TypeError(f"{of.__name__} has no ETag: it needs a response with a schema")

        def decorator(view: V) -> V:
            return declare(view, guard=Guard(of, required))

        return decorator

    def merge_patch(self, schema: type[Schema]) -> Callable[[V], V]:
        """Read a merge patch (RFC 7396) to what `schema` makes: the view gets what it changes."""
        return self.arguments(patch_schema(schema), content_type=MERGE_PATCH)

    def deprecated(
        self, since: date, *, sunset: date | None = None, link: str | None = None
    ) -> Callable[[V], V]:
        """Say with each answer that there is something better; `link` leads to it."""
        deprecation = Deprecation(since, sunset, link)

        def decorator(view: V) -> V:
            return declare(view, deprecation=deprecation)

        return decorator

    def errors(self, *possible: type[DomainError]) -> Callable[[V], V]:
        """State the domain errors of a view, besides those that its other decorators bring."""

        def decorator(view: V) -> V:
            return declare(view, errors=(*(stated(view, "errors") or ()), *possible))

        return decorator

    def blob(self, content_type: str = "application/octet-stream") -> Callable[[V], V]:
        """State that the view returns `blob_response(…)`; the content type may hold wildcards."""

        def decorator(view: V) -> V:
            return declare(view, blob=content_type)

        return decorator

    def paginated(self, item: type[Schema], **options: Any) -> Callable[[V], V]:
        """The view takes keywords `cursor` and `limit` and returns a `Page` of items."""

        def decorator(view: V) -> V:
            @wraps(view)
            def with_link(*args: Any, **kwargs: Any) -> Any:
                page: Page[Any] = view(*args, **kwargs)
                if page.next_cursor is None:
                    return page
                return page, {"Link": next_link(page.next_cursor)}

            answered = self.response(200, page_schema(item), **options)(with_link)
            return cast(
                "V", self.arguments(PageArguments, location="query", as_kwargs=True)(answered)
            )

        return decorator

    # --- what flask-smorest calls ---------------------------------------------------------------

    def _store_endpoint_docs(
        self, endpoint: str, obj: View, parameters: Any, tags: Any, **options: Any
    ) -> None:
        super()._store_endpoint_docs(endpoint, obj, parameters, tags or [self.plugin], **options)
        docs = {m: doc for m, doc in self._docs[endpoint].items() if m != "parameters"}
        for method, doc in docs.items():
            doc["view"] = obj
            doc["operation_id"] = operation_id(self.plugin, obj, method, alone=len(docs) == 1)
            self.operations[f"{self.name}.{endpoint}", method.upper()] = self._operation(
                doc,
                declared(obj, method, "deprecation"),
                sparse=method.upper() == "GET" and declared(obj, "GET", "sparse"),
            )

    def _operation(
        self, doc: dict[str, Any], deprecation: Deprecation | None, *, sparse: bool
    ) -> Operation:
        content_types = tuple(
            body.get("content_type") or self.DEFAULT_LOCATION_CONTENT_TYPE_MAPPING[body["in"]]
            for body in body_arguments(doc)
        )
        answers = doc.get("response", {}).get("responses", {})
        schemas = (
            *((one["in"], one["schema"]) for one in doc.get("arguments", {}).get("parameters", [])),
            *((str(status), one.get("schema")) for status in answers for one in answers[status]),
        )
        known = doc["operation_id"], schemas, content_types, deprecation
        if not self.is_ours:
            return Operation(*known)
        query = frozenset(
            field.data_key or name
            for argument in arguments_in(doc, "query", "querystring")
            for name, field in _fields(argument["schema"])
        )
        if FIELDS in query:
            raise ValueError(f"{doc['operation_id']}: the core reads the parameter {FIELDS}")
        return Operation(*known, query | {FIELDS} if sparse else query)

    def _prepare_first(
        self, doc: dict[str, Any], doc_info: dict[str, Any], *, api: Any, method: str, **_: Any
    ) -> dict[str, Any]:
        # Runs first: what comes next takes the body out of the arguments.
        doc_info["errors"] = possible_errors(doc_info, doc_info["view"], method.upper())
        api.note_operation(
            doc_info["operation_id"],
            errors=doc_info["errors"],
            summary=doc_info["docstring"].get("summary"),
            bodies=len(body_arguments(doc_info)),
        )
        fill_examples(doc_info)
        return doc

    def _prepare_last(
        self, doc: dict[str, Any], doc_info: dict[str, Any], *, method: str, **_: Any
    ) -> dict[str, Any]:
        view: View = doc_info["view"]
        doc["operationId"] = doc_info["operation_id"]
        text = doc_info["docstring"]
        document_deprecation(doc, text, declared(view, method, "deprecation"))
        if sentence := document_access(doc, view, method.upper()):
            text["description"] = "\n\n".join(filter(None, [text.get("description"), sentence]))
        if content_type := declared(view, method.upper(), "blob"):
            document_blob(doc, content_type)
        elif method.upper() == "GET" and declared(view, "GET", "etag"):
            document_etag(doc)
            if declared(view, "GET", "sparse"):
                document_fields(doc)
        if method.upper() not in SAFE_METHODS:
            document_idempotency(doc)
            document_if_match(doc, declared(view, method.upper(), "guard"))
        document_errors(doc, doc_info["errors"])
        return doc


def _fields(schema: Any) -> Any:
    instance = as_schema(schema)
    return instance.load_fields.items() if instance else ()
