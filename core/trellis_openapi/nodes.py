"""A document as a tree whose nodes know where they stand and where their references lead."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class BadDocument(ValueError):
    """No OpenAPI document that could be compared; the sentence says where and why."""


def read(path: Path) -> dict[str, Any]:
    """The document in a file. Raises BadDocument."""
    try:
        document = json.loads(path.read_bytes(), parse_constant=_refuse)
    except (OSError, ValueError) as error:
        raise BadDocument(f"{path}: {error}") from error
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3.1."):
        raise BadDocument(f"{path}: not an OpenAPI 3.1 document")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@dataclass(frozen=True)
class Node:
    """A value of the document `root`, at a JSON pointer (RFC 6901)."""

    root: Mapping[str, Any]
    pointer: str
    value: Any

    def at(self, key: str | int, value: Any) -> Node:
        """A node below this one."""
        step = str(key).replace("~", "~0").replace("/", "~1")
        return Node(self.root, f"{self.pointer}/{step}", value)

    def get(self, key: str, default: Any = None) -> Any:
        """The plain value of a member."""
        return self._members().get(key, default)

    def child(self, key: str) -> Node | None:
        """The node of a member, if it is there."""
        members = self._members()
        return self.at(key, members[key]) if key in members else None

    def children(self) -> Iterator[tuple[str, Node]]:
        """The members of an object."""
        return ((key, self.at(key, value)) for key, value in self._members().items())

    def members(self, key: str) -> dict[str, Node]:
        """The members of an object that is a member; none when it is not there."""
        child = self.child(key)
        return dict(child.children()) if child else {}

    def elements(self) -> Iterator[Node]:
        """The elements of a list."""
        if not isinstance(self.value, list):
            raise BadDocument(f"{self.pointer}: not a list")
        return (self.at(index, value) for index, value in enumerate(self.value))

    def strings(self) -> list[str]:
        """The strings in a list."""
        found = self.value
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise BadDocument(f"{self.pointer}: not a list of strings")
        return found

    def names(self, key: str) -> list[str]:
        """The strings in a list that is a member; none when it is not there."""
        child = self.child(key)
        return child.strings() if child else []

    @property
    def reference(self) -> str | None:
        """The `$ref` of this node."""
        found = self.value.get("$ref") if isinstance(self.value, dict) else None
        return found if isinstance(found, str) else None

    def target(self) -> Node:
        """Where the reference leads. Raises BadDocument when that is nowhere in this document."""
        reference = unquote(self.reference or "")
        if not reference.startswith("#/"):
            raise BadDocument(f"{self.pointer}: {reference!r} leads out of the document")
        found: Any = self.root
        for step in reference[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise BadDocument(f"{self.pointer}: {reference!r} leads nowhere")
        return Node(self.root, reference[1:], found)

    def followed(self) -> Node:
        """The node itself, or what its chain of references leads to."""
        node, seen = self, set()
        while node.reference is not None:
            if node.pointer in seen:
                raise BadDocument(f"{self.pointer}: its reference leads in a circle")
            seen.add(node.pointer)
            node = node.target()
        return node

    def _members(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise BadDocument(f"{self.pointer or '/'}: not an object")
        return self.value


def canonical(value: Any) -> str:
    """A text that is the same for the same JSON value: `true` is not 1, as it is to Python."""
    return json.dumps(value, sort_keys=True)


def equal_values(left: Node, right: Node) -> bool:
    """Whether both are the same JSON value as it stands there."""
    return canonical(left.value) == canonical(right.value)


def same(left: Node, right: Node) -> bool:
    """Whether both say the same, wherever their references lead; also of what holds itself."""
    waiting, met = [(left, right)], set()
    while waiting:
        ours, theirs = waiting.pop()
        if ours.reference is not None or theirs.reference is not None:
            if not _same_beside_the_reference(ours, theirs):
                return False
            ours, theirs = ours.followed(), theirs.followed()
            if (ours.pointer, theirs.pointer) in met:
                continue
            met.add((ours.pointer, theirs.pointer))
        if isinstance(ours.value, dict) and isinstance(theirs.value, dict):
            if ours.value.keys() != theirs.value.keys():
                return False
            others = dict(theirs.children())
            waiting += [(node, others[key]) for key, node in ours.children()]
        elif isinstance(ours.value, list) and isinstance(theirs.value, list):
            if len(ours.value) != len(theirs.value):
                return False
            waiting += zip(ours.elements(), theirs.elements(), strict=True)
        elif not equal_values(ours, theirs):
            return False
    return True


def _same_beside_the_reference(left: Node, right: Node) -> bool:
    beside = [
        {key: value for key, value in node.value.items() if key != "$ref"}
        if node.reference is not None
        else {}
        for node in (left, right)
    ]
    return canonical(beside[0]) == canonical(beside[1])
