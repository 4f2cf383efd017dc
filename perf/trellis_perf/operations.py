"""What a server offers: the operations of its OpenAPI document, by their ids."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_CONVERTER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@dataclass(frozen=True)
class Operation:
    """One operation; `answers` are the status codes of success that the document names."""

    id: str
    plugin: str
    method: str
    path: str
    answers: frozenset[int]

    @property
    def route(self) -> str:
        """Method and path, as `route_of` writes them."""
        return f"{self.method} {self.path}"


def fetch_operations(base_url: str) -> dict[str, Operation]:
    """Ask a server for its operations. Raises OSError when it does not answer."""
    with urllib.request.urlopen(f"{base_url}/v1/openapi.json", timeout=10) as response:  # noqa: S310 (an address that the user gives)
        return operations_of(json.load(response))


def operations_of(document: Mapping[str, Any]) -> dict[str, Operation]:
    """The operations of an OpenAPI document, by id."""
    found = (
        Operation(
            id=operation["operationId"],
            plugin=operation["tags"][0],
            method=method.upper(),
            path=path,
            answers=frozenset(
                int(status) for status in operation["responses"] if status[0] in "23"
            ),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    )
    return {operation.id: operation for operation in found}


def route_of(label: str) -> str:
    """A route as the service's metrics label it, written as in the document.

    >>> route_of("GET /v1/media/assets/<uuid:asset_id>")
    'GET /v1/media/assets/{asset_id}'
    """
    return _CONVERTER.sub(r"{\1}", label)
