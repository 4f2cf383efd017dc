"""Two documents compared as the clients that are out there see them: paths, then operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trellis_openapi.changes import Change, Changes, Verdict
from trellis_openapi.nodes import Node
from trellis_openapi.operations import OperationComparison

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_TEMPLATE = re.compile(r"\{([^{}]*)\}")
# What says to people what they have before them, and where one installation is.
_ABOUT = frozenset({"openapi", "info", "servers", "tags", "externalDocs"})


def compare(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[Change]:
    """Every change from the document `base` to `head`, the worst first.

    Raises BadDocument, and RecursionError where schemas are written inside one another too deep.
    """
    changes = Changes()
    old, new = Node(base, "", base), Node(head, "", head)
    _compare_paths(changes, old, new)
    _compare_names(changes, old, new)
    changes.rest(old, new, {"paths", "components", "security"}, _ABOUT)
    return changes.all()


def _compare_paths(changes: Changes, base: Node, head: Node) -> None:
    old, new = base.members("paths"), head.members("paths")
    renamed = _renamed(old, new)
    for path, item in old.items():
        now = renamed.get(path, path)
        there = new.get(now)
        if there is None:
            for operation in _operations(item).values():
                _note(changes, Verdict.BREAKING, operation, "the path is gone")
            continue
        ours, theirs = item.followed(), there.followed()
        _compare_item(changes, ours, theirs, [_TEMPLATE.findall(one) for one in (path, now)])
    for path, item in new.items():
        if path not in old and path not in renamed.values():
            for operation in _operations(item).values():
                _note(changes, Verdict.COMPATIBLE, operation, "a new operation")


def _renamed(old: Mapping[str, Node], new: Mapping[str, Node]) -> dict[str, str]:
    """Old paths whose parameters alone are called something else now."""
    shapes = {_TEMPLATE.sub("{}", path): path for path in new if path not in old}
    found = {path: shapes.get(_TEMPLATE.sub("{}", path)) for path in old if path not in new}
    return {path: now for path, now in found.items() if now is not None}


def _compare_item(changes: Changes, old: Node, new: Node, in_path: list[list[str]]) -> None:
    before, after = _operations(old), _operations(new)
    for method, operation in before.items():
        there = after.get(method)
        if there is None:
            _note(changes, Verdict.BREAKING, operation, "the operation is gone")
        else:
            OperationComparison(changes, (old, operation), (new, there), in_path).compare()
    for method, operation in after.items():
        if method not in before:
            _note(changes, Verdict.COMPATIBLE, operation, "a new operation")
    changes.rest(old, new, {*METHODS, "parameters"}, {"summary", "description"})


def _operations(item: Node) -> dict[str, Node]:
    return {key: node for key, node in item.followed().children() if key in METHODS}


def _note(changes: Changes, verdict: Verdict, operation: Node, words: str) -> None:
    name = str(operation.get("operationId", "without an id"))
    changes.add(verdict, operation.pointer, words, name)


def _compare_names(changes: Changes, base: Node, head: Node) -> None:
    """Types that generated clients had; what was only called something else has been told."""
    old, new = _schemas(base), _schemas(head)
    for name, node in old.items():
        if name not in new and name not in changes.renamed:
            changes.add(Verdict.CLIENTS, node.pointer, f"the type {name} is gone")


def _schemas(document: Node) -> dict[str, Node]:
    components = document.child("components")
    return components.members("schemas") if components else {}
