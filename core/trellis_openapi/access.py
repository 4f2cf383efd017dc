"""Who may call an operation: whatever let a client in before has to do so now."""

from __future__ import annotations

from collections.abc import Mapping

from trellis_openapi.changes import Changes, Verdict
from trellis_openapi.nodes import BadDocument, Node, same

# What a client has to have: schemes, each with the permissions that it needs.
_Way = Mapping[str, frozenset[str]]


def compare_access(changes: Changes, old: Node, new: Node, operation: str) -> None:
    """Note what has changed in the ways to be let in. Raises BadDocument."""
    before, after = _ways(old), _ways(new)
    words = f"is for {_told(after)} now, was for {_told(before)}"
    pointer = f"{new.pointer}/security"
    if not all(any(_suffices(way, now) for now in after) for way in before):
        changes.add(Verdict.BREAKING, pointer, words, operation)
    elif not all(any(_suffices(now, way) for way in before) for now in after):
        changes.add(Verdict.COMPATIBLE, pointer, words, operation)
    for scheme in {name for way in before for name in way} & {n for way in after for n in way}:
        ours, theirs = _scheme(old, scheme), _scheme(new, scheme)
        if not same(_without_words(ours), _without_words(theirs)):
            changes.add(
                Verdict.BREAKING, theirs.pointer, f"how to use `{scheme}` has changed", operation
            )


def _ways(operation: Node) -> list[_Way]:
    stated = operation.child("security") or Node(operation.root, "", operation.root).child(
        "security"
    )
    ways: list[_Way] = [
        {scheme: frozenset(way.names(scheme)) for scheme, _ in way.children()}
        for way in (stated.elements() if stated else ())
    ]
    return ways or [{}]


def _suffices(way: _Way, now: _Way) -> bool:
    return all(scheme in way and needed <= way[scheme] for scheme, needed in now.items())


def _told(ways: list[_Way]) -> str:
    return " or ".join(_way_told(way) for way in ways)


def _way_told(way: _Way) -> str:
    if not way:
        return "everybody"
    return " and ".join(
        f"`{scheme}` with {', '.join(sorted(needed))}" if needed else f"`{scheme}`"
        for scheme, needed in sorted(way.items())
    )


def _scheme(operation: Node, name: str) -> Node:
    components = Node(operation.root, "", operation.root).child("components")
    found = components.members("securitySchemes").get(name) if components else None
    if found is None:
        raise BadDocument(f"{operation.pointer}/security: there is no scheme {name!r}")
    return found.followed()


def _without_words(scheme: Node) -> Node:
    shown = {key: node.value for key, node in scheme.children() if key != "description"}
    return Node(scheme.root, scheme.pointer, shown)
