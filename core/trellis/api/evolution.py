"""How the document leaves room for the next release: answers and lists of codes may grow.

Generated clients take a closed schema at its word and fail at the first field that it has not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_COMPONENTS = "#/components/schemas/"
_DATA = frozenset({"example", "examples", "enum", "const", "default"})


def open_answers(document: dict[str, Any]) -> None:
    """Let every schema that an answer uses have further fields."""
    schemas = document["components"]["schemas"]
    waiting: list[Any] = [document["components"].get("responses", {})]
    for item in document["paths"].values():
        waiting += [one["responses"] for one in item.values() if isinstance(one, dict)]
    opened: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if node.get("additionalProperties") is False:
                del node["additionalProperties"]
            name = str(node.get("$ref", "")).removeprefix(_COMPONENTS)
            if name in schemas and name not in opened:
                opened.add(name)
                waiting.append(schemas[name])
            waiting += node.get("properties", {}).values()
            waiting += [value for key, value in node.items() if key not in _DATA]


def list_error_codes(document: dict[str, Any], codes: Iterable[str]) -> None:
    """Make `code` of a problem one of a list that may grow, and so no `enum`."""
    schemas = document["components"]["schemas"]
    schemas["ErrorCode"] = {
        "type": "string",
        "description": "Stable; for programs. There may be new ones at any time: take one that you "
        "do not know by its status.",
        "x-extensible-enum": sorted(codes),
    }
    schemas["CoreProblem"]["properties"]["code"] = {"$ref": f"{_COMPONENTS}ErrorCode"}
