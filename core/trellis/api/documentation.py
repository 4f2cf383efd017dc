"""What the OpenAPI document says of an operation beyond what flask-smorest writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any

from marshmallow import Schema

from trellis import errors
from trellis.api.access import Public, Requires, User, access_rule
from trellis.api.declarations import View, declared
from trellis.api.examples import example_of
from trellis.api.idempotency import HEADER, LONGEST_KEY, SAFE_METHODS
from trellis.api.preconditions import Guard
from trellis.api.problems import CORE_ERRORS, MEDIA_TYPE, problem_type
from trellis.api.sparse import FIELDS
from trellis.errors import DomainError, FieldError
from trellis_http.deprecation import Deprecation

SECURITY_SCHEME = "bearer"

_BODY_LOCATIONS = ("json", "form", "files")
_BYTES = {"type": "string", "format": "binary"}
_ETAG = {"schema": {"type": "string"}, "description": "Changes with the content."}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "ETag of what the client has; if unchanged, the answer is 304.",
}
_UNCHANGED = {"description": "The client has it already"}
_RETRY = {"Retry-After": "Seconds to wait before the next try."}
_ERROR_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "How to authenticate, and what was wrong (RFC 6750)."},
    415: {
        "Accept": "Content types that are taken.",
        "Accept-Patch": "The same, of PATCH.",
    },
    429: _RETRY,
    503: _RETRY,
}


def operation_id(plugin: str, view: View, method: str, *, alone: bool) -> str:
    """`media_upload` for a function with one method (`alone`), else `media_get_asset`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", view.__name__).lower()
    if alone and not isinstance(view, type):
        return f"{plugin}_{name}"
    return f"{plugin}_{method}_{name}"


def arguments_in(doc: Mapping[str, Any], *locations: str) -> list[dict[str, Any]]:
    """The `arguments` of a view that are read from one of these locations."""
    stated = doc.get("arguments", {}).get("parameters", [])
    return [argument for argument in stated if argument["in"] in locations]


def body_arguments(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `arguments` of a view that are read from the body; OpenAPI knows one at most."""
    return arguments_in(doc, *_BODY_LOCATIONS)


def as_schema(schema: Any) -> Schema | None:
    """The instance of a schema class or instance; None for what is described in another way."""
    if isinstance(schema, type) and issubclass(schema, Schema):
        return schema()
    return schema if isinstance(schema, Schema) else None


def fill_examples(doc: dict[str, Any]) -> None:
    """Give the bodies of a view's request and responses an example unless the author did."""
    for argument in arguments_in(doc, "json"):
        _fill_example(argument, sent=True)
    for responses in doc.get("response", {}).get("responses", {}).values():
        for response in responses:
            if isinstance(response, dict):
                _fill_example(response, sent=False)


def _fill_example(body: dict[str, Any], *, sent: bool) -> None:
    schema = as_schema(body.get("schema"))
    if schema is not None and not {"example", "examples"} & body.keys():
        body["example"] = example_of(schema, sent=sent)


def document_access(operation: dict[str, Any], view: View, method: str) -> str:
    """Write the security requirement; returns a sentence for the description."""
    rule = access_rule(view, method)
    if isinstance(rule, Requires):
        operation["security"] = [{SECURITY_SCHEME: [rule.permission]}]
        return f"Needs the permission `{rule.permission}`."
    operation["security"] = [{SECURITY_SCHEME: []}] if isinstance(rule, User) else []
    return "For whoever is signed in." if isinstance(rule, User) else "Open to everybody."


def possible_errors(
    doc: Mapping[str, Any], view: View, method: str
) -> tuple[type[DomainError], ...]:
    """The errors that a view states, and those that its other decorators bring."""
    stated = [*(declared(view, method, "errors") or ()), errors.BadRequest]
    if not isinstance(access_rule(view, method), Public):
        stated += [errors.Unauthenticated, errors.Forbidden]
    if doc.get("arguments"):
        stated.append(errors.InvalidInput)
    if body_arguments(doc):
        stated += [errors.ContentTooLarge, errors.UnsupportedMediaType]
    if arguments_in(doc, "json"):
        stated.append(errors.MalformedBody)
    if method not in SAFE_METHODS:
        stated += [errors.RequestInFlight, errors.IdempotencyKeyReused]
    if guard := declared(view, method, "guard"):
        stated.append(errors.PreconditionFailed)
        stated += [errors.PreconditionRequired] if guard.required else []
    if declared(view, method, "blob"):
        stated += [errors.PreconditionFailed, errors.RangeNotSatisfiable]
    return tuple(dict.fromkeys(stated))


def document_errors(operation: dict[str, Any], possible: Iterable[type[DomainError]]) -> None:
    """Write the responses of these errors, one for each status."""
    by_status: dict[int, list[type[DomainError]]] = {}
    for error in possible:
        by_status.setdefault(error.status, []).append(error)
    for status, of_status in by_status.items():
        shared = len(of_status) == 1 and of_status[0] in CORE_ERRORS
        operation["responses"][status] = (
            of_status[0].__name__ if shared else error_response(of_status)
        )


def error_response(of_status: list[type[DomainError]]) -> dict[str, Any]:
    """The response object for the errors of one status, with an example of each."""
    headers = {
        name: {"schema": {"type": "string"}, "description": description}
        for name, description in _ERROR_HEADERS.get(of_status[0].status, {}).items()
    }
    return {
        **({"headers": headers} if headers else {}),
        "description": "; ".join(error.title for error in of_status),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/CoreProblem"},
                "examples": {error.code: _problem_example(error) for error in of_status},
            }
        },
    }


def _problem_example(error: type[DomainError]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": problem_type(error.code),
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "request_id": "0198c0de7a0070008000000000000002",
    }
    if error is errors.InvalidInput:
        fault = FieldError(location="body", pointer="/email", detail="Not a valid email address.")
        value["errors"] = [fault]
    return {"summary": error.title, "value": value}


def document_body_limit(operation: dict[str, Any], most: int | None) -> None:
    """Write how many bytes the body may have, for people and for programs."""
    if most is not None:
        body = operation["requestBody"]
        stated = body.get("description")
        body["description"] = (
            f"{stated} At most {most} bytes." if stated else f"At most {most} bytes."
        )
        body["x-max-bytes"] = most


def document_schema(component: dict[str, Any], kind: type) -> None:
    """Write what a schema is for: the docstring of its class, unless something is said already."""
    text = vars(kind).get("__doc__")
    if text:
        component.setdefault("description", cleandoc(text))


def document_parameters(operation: Mapping[str, Any]) -> None:
    """Say nothing of null, which no address and no header can hold: it means to be left out."""
    for parameter in operation.get("parameters", ()):
        schema = parameter.get("schema", {})
        if schema.get("default", ...) is None:
            del schema["default"]
        if isinstance(schema.get("type"), list):
            types = [name for name in schema["type"] if name != "null"]
            schema["type"] = types[0] if len(types) == 1 else types
        if "enum" in schema:
            schema["enum"] = [value for value in schema["enum"] if value is not None]


def document_deprecation(
    operation: dict[str, Any], text: dict[str, str], deprecation: Deprecation | None
) -> None:
    """Write that there is something better, and until when this is there."""
    if deprecation is not None:
        operation["deprecated"] = True
        if deprecation.sunset:
            operation["x-sunset"] = str(deprecation.sunset)
        told = [text.get("description"), deprecation.sentence()]
        text["description"] = "\n\n".join(filter(None, told))


def document_idempotency(operation: dict[str, Any]) -> None:
    """Write the header that every unsafe operation takes."""
    operation.setdefault("parameters", []).append(
        {
            "in": "header",
            "name": HEADER,
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
            "description": "A new random id (UUID) for each thing that is asked for. Sent again "
            "with the same request within 24 hours, it gets the stored answer.",
        }
    )


def document_if_match(operation: dict[str, Any], guard: Guard | None) -> None:
    """Write that a change may depend on what its caller has seen."""
    if guard is not None:
        operation["parameters"].append(
            {
                "in": "header",
                "name": "If-Match",
                "required": guard.required,
                "schema": {"type": "string"},
                "description": "ETag of what the client has; if it has changed, the answer is 412.",
            }
        )
        if 200 in operation["responses"]:
            operation["responses"][200].setdefault("headers", {})["ETag"] = _ETAG


def document_etag(operation: dict[str, Any]) -> None:
    """Write that what the client holds is not sent again."""
    operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
    operation["responses"].get(200, {}).setdefault("headers", {})["ETag"] = _ETAG
    operation["responses"][304] = _UNCHANGED


def document_fields(operation: dict[str, Any]) -> None:
    """Write that an answer may be asked for in part."""
    operation.setdefault("parameters", []).append(
        {
            "in": "query",
            "name": FIELDS,
            "schema": {"type": "string"},
            "description": "Only these fields, divided by commas: of each item of a list, or of "
            "the one thing; `photo.url` is one within another. All others are left out.",
        }
    )


def document_blob(operation: dict[str, Any], content_type: str) -> None:
    """Write what `blob_response` does: whole, part, and unchanged."""
    content = {content_type: {"schema": _BYTES}}
    operation.setdefault("parameters", []).extend(
        {"in": "header", "name": name, "schema": {"type": "string"}, "description": description}
        for name, description in (
            ("Range", "One range of bytes; several are answered with the whole."),
            ("If-Range", "ETag of the part that the client has; if it changed, the whole is sent."),
        )
    )
    operation["parameters"].append(_IF_NONE_MATCH)
    name = {"schema": {"type": "string"}, "description": "Carries the file name."}
    headers = {"ETag": _ETAG, "Content-Disposition": name}
    ranged = {"Content-Range": {"schema": {"type": "string"}, "description": "Which part it is."}}
    operation["responses"] |= {
        200: {"description": "The whole", "content": content, "headers": headers},
        206: {"description": "The part asked for", "content": content, "headers": headers | ranged},
        304: _UNCHANGED,
    }
