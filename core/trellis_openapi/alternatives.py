"""A schema as the alternatives that a value has, each of one type at most.

`type: [string, "null"]`, `anyOf`, `oneOf`, `allOf` and `$ref` are ways to write the same things;
documents are compared by what their schemas say, not by how they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from trellis_openapi.nodes import BadDocument, Node, same

_COMPONENTS = "/components/schemas/"
_COMPOSED = frozenset({"$ref", "type", "allOf", "anyOf", "oneOf", "properties"})
_MOST = 1000  # alternatives of one schema; what multiplies beyond is no schema that people wrote

_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_OF_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": _NUMERIC | {"format"},
    "integer": _NUMERIC | {"format"},
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"required", "additionalProperties", "minProperties", "maxProperties"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
_SPECIFIC = frozenset().union(*_OF_TYPE.values())

# What says something to people and nothing about values.
ANNOTATIONS = frozenset(
    {"title", "description", "summary", "example", "examples", "$comment", "externalDocs"}
)
_NO_CONSTRAINTS = ANNOTATIONS | {"default", "deprecated", "readOnly", "writeOnly"}


@dataclass(frozen=True)
class Alternative:
    """One kind of value; `type` is None where any is allowed, `name` that of a component."""

    pointer: str
    type: str | None
    name: str | None
    keywords: Mapping[str, Node]
    properties: Mapping[str, Node]

    def __str__(self) -> str:
        return self.name or self.type or "anything"

    @property
    def constrained(self) -> bool:
        """Whether anything but the type says which values are meant."""
        return bool(self.properties or self.keywords.keys() - _NO_CONSTRAINTS)


def component(schema: Node) -> Node:
    """What a reference with nothing beside it leads to, or the schema itself."""
    met: set[str] = set()
    while schema.reference is not None and len(schema.value) == 1 and schema.pointer not in met:
        met.add(schema.pointer)
        schema = schema.target()
    return schema


def alternatives(schema: Node) -> list[Alternative]:
    """The alternatives of a schema; none where no value fits. Raises BadDocument."""
    return _alternatives(schema, frozenset())


def _alternatives(schema: Node, within: frozenset[str]) -> list[Alternative]:
    if isinstance(schema.value, bool):
        return [Alternative(schema.pointer, None, None, {}, {})] if schema.value else []
    if schema.pointer in within:
        raise BadDocument(f"{schema.pointer}: the schema is made of itself")
    within |= {schema.pointer}
    own = {key: node for key, node in schema.children() if key not in _COMPOSED}
    properties = schema.members("properties")
    found = [
        _of_type(Alternative(schema.pointer, name, None, own, properties))
        for name in _types(schema)
    ]
    if schema.reference is not None:
        target = schema.target()
        found = _all(found, _alternatives(target, within))
    for part in _parts(schema, "allOf"):
        found = _all(found, _alternatives(part, within))
    for keyword in ("anyOf", "oneOf"):
        if schema.child(keyword):
            branches = (_alternatives(part, within) for part in _parts(schema, keyword))
            found = _all(found, [one for branch in branches for one in branch])
    kept = [one for one in map(_with_values_of_its_type, found) if one is not None]
    return _named(schema.pointer, kept)


def _types(schema: Node) -> list[str | None]:
    stated = schema.get("type")
    if stated is None:
        return list(dict.fromkeys(_type_of(value) for value in _values(schema))) or [None]
    names = [stated] if isinstance(stated, str) else schema.names("type")
    if unknown := set(names) - _OF_TYPE.keys():
        raise BadDocument(f"{schema.pointer}/type: no such type: {', '.join(sorted(unknown))}")
    return list(names)


def _values(schema: Node) -> list[Any]:
    enum = schema.child("enum")
    if enum:
        return [node.value for node in enum.elements()]
    return [schema.get("const")] if schema.child("const") else []


def _type_of(value: Any) -> str:
    kinds = {str: "string", bool: "boolean", type(None): "null", list: "array", dict: "object"}
    return kinds.get(type(value), "number")


def _parts(schema: Node, keyword: str) -> Iterable[Node]:
    child = schema.child(keyword)
    return child.elements() if child else ()


def _of_type(one: Alternative) -> Alternative:
    """Without the keywords that say nothing of values of this type."""
    if one.type is None:
        return one
    foreign = _SPECIFIC - _OF_TYPE[one.type]
    kept = {key: node for key, node in one.keywords.items() if key not in foreign}
    return replace(one, keywords=kept, properties=one.properties if one.type == "object" else {})


def _named(pointer: str, found: list[Alternative]) -> list[Alternative]:
    """A component gives its name to what it says, unless that is several things."""
    name = pointer.removeprefix(_COMPONENTS)
    if not pointer.startswith(_COMPONENTS) or "/" in name:
        return found
    # `null` stays nameless, and so the type of a nullable component has its name.
    alone = sum(one.type != "null" for one in found) == 1
    return [replace(one, name=name) if alone and one.type != "null" else one for one in found]


def _all(left: list[Alternative], right: list[Alternative]) -> list[Alternative]:
    """What fits one of the left and one of the right."""
    if len(left) * len(right) > _MOST:
        raise BadDocument(f"{left[0].pointer}: has more alternatives than can be compared")
    pairs = (_both(ours, theirs) for ours, theirs in product(left, right))
    return [one for one in pairs if one is not None]


def _both(left: Alternative, right: Alternative) -> Alternative | None:
    if left.type == right.type or right.type is None:
        common = left.type
    elif left.type is None:
        common = right.type
    elif {left.type, right.type} == {"integer", "number"}:
        common = "integer"
    else:
        return None
    name = None
    if not right.constrained:
        name = left.name or right.name
    elif not left.constrained:
        name = right.name or left.name
    keywords = _merged(left.keywords, right.keywords)
    for key in left.properties.keys() & right.properties.keys():
        if not same(left.properties[key], right.properties[key]):
            keywords = _beside(keywords, left.properties[key], right.properties[key])
    properties = {**right.properties, **left.properties}
    return _of_type(Alternative(left.pointer, common, name, keywords, properties))


def _merged(left: Mapping[str, Node], right: Mapping[str, Node]) -> dict[str, Node]:
    """The keywords of both. What cannot be merged stands beside them, under `allOf`."""
    merged = {**right, **left}
    for key in left.keys() & right.keys() - ANNOTATIONS:
        ours, theirs = left[key], right[key]
        if key == "required":
            merged[key] = replace(ours, value=[*ours.strings(), *theirs.strings()])
        elif not same(ours, theirs):
            merged = _beside(merged, ours, theirs)
    return merged


def _beside(keywords: dict[str, Node], *parts: Node) -> dict[str, Node]:
    stated = keywords["allOf"].value if "allOf" in keywords else []
    return keywords | {"allOf": replace(parts[0], value=[*stated, *(p.value for p in parts)])}


def _with_values_of_its_type(one: Alternative) -> Alternative | None:
    """`enum` and `const` as the values of this type; None when there are none."""
    stated = one.keywords.get("enum") or one.keywords.get("const")
    if stated is None:
        return one
    many = "enum" in one.keywords
    values = [node.value for node in stated.elements()] if many else [stated.value]
    kept = [value for value in values if one.type is None or _fits(value, one.type)]
    if not kept:
        return None
    others = {key: node for key, node in one.keywords.items() if key not in ("enum", "const")}
    enum = {} if one.type == "null" else {"enum": replace(stated, value=kept)}
    return replace(one, keywords=others | enum)


def _fits(value: Any, name: str) -> bool:
    found = _type_of(value)
    return found == name or (found == "number" and name == "integer")
