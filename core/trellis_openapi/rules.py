"""What the document owes to who writes a client: what it says is right, nothing is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from trellis.api.problems import MEDIA_TYPE
from trellis_openapi.comparison import METHODS
from trellis_openapi.nodes import Node

_Rule = Callable[[Node], Iterator[str]]

_JSON = "application/json"


def faults(document: dict[str, Any]) -> list[str]:
    """A sentence for each fault. Our own rules are held against a valid document only."""
    found = [
        f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in OpenAPIV31SpecValidator(document).iter_errors()
    ]
    return sorted(found) or broken_rules(document)


def broken_rules(document: dict[str, Any]) -> list[str]:
    """A sentence for each of our own rules that an operation of a valid document does not keep."""
    return list(_broken_rules(Node(document, "", document)))


def _broken_rules(document: Node) -> Iterator[str]:
    tags = {tag["name"] for tag in document.get("tags", [])}
    for path, item in document.members("paths").items():
        for method, operation in item.children():
            if method in METHODS:
                # Below other addresses the errors are those of a protocol.
                ours = path.startswith("/v1/")
                rules = (*_RULES, *(_RULES_BELOW_V1 if ours else ()))
                found = [fault for rule in rules for fault in rule(operation)]
                found += [f"has the unknown tag {tag}" for tag in _tags(operation) - tags]
                for fault in found:
                    yield f"{operation.pointer} ({operation.get('operationId')}): {fault}"


def _tags(operation: Node) -> set[str]:
    return set(operation.names("tags"))


def _describes_itself(operation: Node) -> Iterator[str]:
    for key in ("operationId", "summary", "description", "tags"):
        if not operation.get(key):
            yield f"has no {key}"


def _states_access(operation: Node) -> Iterator[str]:
    security = operation.get("security")
    if security is None:
        yield "does not say who may call it"
    elif security:
        for status in {"401", "403"} - operation.get("responses").keys():
            yield f"needs somebody signed in, and does not say that it may answer {status}"


def _takes_an_idempotency_key(operation: Node) -> Iterator[str]:
    unsafe = operation.pointer.rpartition("/")[2] not in ("get", "head", "options", "trace")
    names = [parameter.get("name") for parameter in _parameters(operation)]
    if unsafe and "Idempotency-Key" not in names:
        yield "changes something, and takes no Idempotency-Key"


def _states_limits(operation: Node) -> Iterator[str]:
    body = operation.child("requestBody")
    if body is not None and body.followed().get("x-max-bytes") is None:
        yield "does not say how large its body may be"
    schemas = {one.get("name"): one.get("schema", {}) for one in _parameters(operation)}
    if "cursor" in schemas and "maximum" not in schemas.get("limit", {}):
        yield "is a list, and does not say how long a page may be"


def _names_its_errors(operation: Node) -> Iterator[str]:
    answers = operation.members("responses")
    if "default" not in answers:
        yield "has no default answer"
    for status, node in answers.items():
        if status[0] not in "45d":
            continue
        media = node.followed().members("content").get(MEDIA_TYPE)
        examples = media.members("examples") if media else {}
        if not examples:
            yield f"does not name the errors of {status}"
        for code, example in examples.items():
            value = example.get("value", {})
            if value.get("code") != code or status not in ("default", str(value.get("status"))):
                yield f"shows another error than {code} for {status}"


def _has_fitting_examples(operation: Node) -> Iterator[str]:
    body = operation.child("requestBody")
    answers = [node for _, node in sorted(operation.members("responses").items())]
    for node in (*([body] if body else []), *answers):
        for content_type, media in node.followed().members("content").items():
            examples = [one.get("value") for one in media.members("examples").values()]
            examples += [media.get("example")] if media.child("example") else []
            if content_type == _JSON and not examples:
                yield f"{node.pointer} has no example"
            for example in examples:
                yield from _misfit(media, example)


def _misfit(media: Node, example: Any) -> Iterator[str]:
    whole = {**media.get("schema", {}), "components": media.root["components"]}
    checker = Draft202012Validator.FORMAT_CHECKER
    for error in Draft202012Validator(whole, format_checker=checker).iter_errors(example):
        yield f"the example at {media.pointer} does not fit: {error.message[:200]}"


def _parameters(operation: Node) -> Iterator[Node]:
    stated = operation.child("parameters")
    return (node.followed() for node in (stated.elements() if stated else ()))


_RULES: tuple[_Rule, ...] = (
    _describes_itself,
    _states_access,
    _states_limits,
    _has_fitting_examples,
)
_RULES_BELOW_V1: tuple[_Rule, ...] = (_takes_an_idempotency_key, _names_its_errors)
