"""Generates the functions that make of what was sent what a schema would load.

They return None for what they do not take. Besides the loaded value, the function for bodies counts
the keys of all objects that it saw; see `decoder` for why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial as bound
from typing import Any

import marshmallow
import msgspec
from marshmallow import EXCLUDE, fields
from marshmallow.exceptions import RegistryError

from trellis_schemas.input.obstacles import Partial, hooks, is_plain, obstacles
from trellis_schemas.input.rules import checks, rule_of
from trellis_schemas.schema import Field
from trellis_schemas.source import Source, indented
from trellis_schemas.strict_json import MAX_DEPTH

Reasons = list[tuple[str, str]]
_Part = tuple[Any, list[str]]  # what msgspec makes of it, and the lines that load it in place
_Found = tuple[str, str | None, list[str]]  # where it is, what stands there if not, lines as above

_MISSING = marshmallow.missing
_INT64 = 2**63


class Obstacle(Exception):
    """Why marshmallow has to load a part."""


@dataclass(frozen=True)
class _Place:
    path: str
    partial: Partial
    room: int = MAX_DEPTH  # how many containers may nest in this place
    within: tuple[type, ...] = ()

    def inside(self, key: str) -> _Place:
        return replace(self, path=f"{self.path}/{key}", room=self.room - 1)


class LoadSource(Source):
    """The text of one function that loads, and what marshmallow does in it, by JSON pointer."""

    def __init__(self) -> None:
        super().__init__(UNSET=msgspec.UNSET, missing=_MISSING, weigh=weigh)
        self.reasons: Reasons = []

    def body(self, schema: marshmallow.Schema) -> tuple[Any, Callable[[Any], Any]]:
        """What msgspec decodes bodies as, and the function for that. Raises Obstacle."""
        kind, lines = self._object(schema, "v", _Place("", schema.partial), schema.unknown)
        return kind, self.function("load(v)", ["n = 0", *lines, "return v, n"])

    def query(self, schema: marshmallow.Schema, several: Collection[str]) -> Callable[[Any], Any]:
        """The function for the parameters of a query, of which some may come several times.

        Raises Obstacle.
        """
        _refuse(["it loads many"] if schema.many else obstacles(schema, schema.partial))
        partial = schema.partial

        def member(field: Field, key: str, v: str) -> _Found:
            name = self.named(key)
            if key in several:
                value, lines = f"args.getlist({name})", self._by_marshmallow(field, v, partial)
            else:  # not `get`, to which a missing key is a slow surprise
                value, lines = f"args[{name}]", self._text(field, v, key, partial)
            return f"{value} if {name} in args else None", "None", lines

        lines = ["v = {}", *self._members(schema, "v", partial, member)]
        lines += [*self._hooks(schema, "v", partial, EXCLUDE), "return v"]
        return self.function("load(args)", lines)

    # --- objects --------------------------------------------------------------------------------

    def _object(self, schema: marshmallow.Schema, v: str, place: _Place, unknown: str) -> _Part:
        kind = type(schema)
        _refuse([f"{kind.__name__} holds itself"] if kind in place.within else [])
        _refuse(obstacles(schema, place.partial))
        place = replace(place, within=(*place.within, kind))
        item, made = self.variable() if schema.many else v, self.variable()
        struct, lines = self._struct(
            schema, item, made, place.inside("*") if schema.many else place
        )
        if schema.many:
            lines = _each(item, v, self.variable(), [*lines, f"{item} = {made}"])
        else:
            lines.append(f"{v} = {made}")
        lines += self._hooks(schema, v, place.partial, unknown)
        return list.__class_getitem__(struct) if schema.many else struct, lines

    def _struct(
        self, schema: marshmallow.Schema, item: str, made: str, place: _Place
    ) -> tuple[Any, list[str]]:
        slots: list[tuple[Any, ...]] = []
        keys: dict[str, str] = {}

        def member(field: Field, key: str, v: str) -> _Found:
            slot = f"f{len(slots)}"
            keys[slot] = str.__str__(key)  # msgspec wants no subclass, such as a StrEnum
            kind, lines = self._value(field, v, place.inside(key))
            if field.required and place.partial is not True:
                slots.append((slot, kind))
                return f"{item}.{slot}", None, lines
            slots.append((slot, kind | msgspec.UnsetType, msgspec.UNSET))
            return f"{item}.{slot}", "UNSET", ["n += 1", *lines]

        lines = list(self._members(schema, made, place.partial, member))
        try:
            name = type(schema).__name__
            struct = msgspec.defstruct(name, slots, rename=keys, kw_only=True, gc=False)
        except ValueError as error:  # two fields read one key, or it is one that needs escapes
            raise Obstacle(f"{name}: {error}") from None
        sure = sum(len(slot) == 2 for slot in slots)
        return struct, [f"n += {sure}", f"{made} = {{}}", *lines]

    def _members(
        self,
        schema: marshmallow.Schema,
        made: str,
        partial: Partial,
        member: Callable[[Field, str, str], _Found],
    ) -> Iterator[str]:
        for name, field in schema.load_fields.items():
            v = self.variable()
            key = name if field.data_key is None else field.data_key
            found, absent, lines = member(field, key, v)
            store = f"{made}[{self.named(field.attribute or name)}] = {v}"
            yield f"{v} = {found}"
            if absent is None:
                yield from [*lines, store]
                continue
            yield f"if {v} is not {absent}:"
            yield from indented([*lines, store])
            if without := [] if partial is True else self._default(field, v, store):
                yield "else:"
                yield from indented(without)

    def _default(self, field: Field, v: str, store: str) -> list[str]:
        default = field.load_default
        if field.required:
            return ["return None"]
        if default is _MISSING:
            return []
        if callable(default):
            return [f"{v} = {self.named(default)}()", f"if {v} is missing: return None", store]
        return [f"{v} = {self.named(default)}", store]

    def _hooks(
        self, schema: marshmallow.Schema, v: str, partial: Partial, unknown: str
    ) -> list[str]:
        run = hooks(schema, partial, unknown)
        return [f"{v} = {self.named(run)}({v})"] if run else []

    # --- values ---------------------------------------------------------------------------------

    def _value(self, field: Any, v: str, place: _Place) -> _Part:
        try:
            kind, lines = self._compiled(field, v, place)
        except Obstacle as why:
            self.reasons.append((place.path, str(why)))
            weighed = f"n += weigh({v}, {place.room})"
            return Any, [weighed, *self._by_marshmallow(field, v, place.partial)]
        lines += self._checks(field, v)
        if field.allow_none:
            return kind | None, [f"if {v} is not None:", *indented(lines)] if lines else []
        return kind, lines

    def _compiled(self, field: Any, v: str, place: _Place) -> _Part:
        way = type(field)._deserialize
        if not is_plain(field):
            raise Obstacle(f"{type(field).__name__} has functions of its own")
        if way is fields.Nested._deserialize:
            return self._nested(field, v, place)
        if way is fields.List._deserialize:
            element = self.variable()
            kind, lines = self._value(field.inner, element, place.inside("*"))
            lines = _each(element, v, self.variable(), lines) if lines else []
            return list.__class_getitem__(kind), lines
        rule = rule_of(field)
        if rule is None:
            raise Obstacle(f"no rule for {type(field).__name__} as it is set")
        return rule.kind, self._by_rule(v, rule.body, rule.refused, rule.uses)

    def _nested(self, field: Any, v: str, place: _Place) -> _Part:
        for method in ("_load", "_test_collection", "schema"):
            if getattr(type(field), method) is not getattr(fields.Nested, method):
                raise Obstacle(f"{type(field).__name__} overrides {method}")
        try:
            schema = field.schema
        except RegistryError as error:
            raise Obstacle(str(error)) from None
        partial = schema.partial if place.partial is None else place.partial
        return self._object(
            schema, v, replace(place, partial=partial), field.unknown or schema.unknown
        )

    def _text(self, field: Any, v: str, key: str, partial: Partial) -> list[str]:
        rule = rule_of(field) if is_plain(field) else None
        if rule is None or rule.text is None:
            self.reasons.append((f"/{key}", f"no rule for {type(field).__name__} as it is set"))
            return self._by_marshmallow(field, v, partial)
        return [*self._by_rule(v, rule.text, rule.refused, rule.uses), *self._checks(field, v)]

    def _by_rule(self, v: str, value: str, refused: str | None, uses: object) -> list[str]:
        lines = []
        if value != "{v}":
            used = self.named(uses) if "{u}" in value else ""
            lines.append(f"{v} = {value.format(v=v, u=used)}")
        if refused:
            lines.append(f"if {refused.format(v=v)}: return None")
        return lines

    def _checks(self, field: Field, v: str) -> list[str]:
        return [line for one in field.validators for line in checks(one, v, self.named)]

    def _by_marshmallow(self, field: Field, v: str, partial: Partial) -> list[str]:
        load = field.deserialize if partial is None else bound(field.deserialize, partial=partial)
        return [f"{v} = {self.named(load)}({v})", f"if {v} is missing: return None"]


def weigh(value: Any, room: int) -> int:
    """The number of keys in plain JSON. Raises ValueError for what `strict_json` refuses in it."""
    kind = value.__class__
    if kind is dict or kind is list:
        if not room:
            raise ValueError("nested too deeply")
        if kind is list:
            return sum([weigh(item, room - 1) for item in value])
        return len(value) + sum([weigh(item, room - 1) for item in value.values()])
    if kind is int and not -_INT64 <= value < _INT64:
        raise ValueError("too large")
    return 0


def _refuse(obstacles: Iterable[str]) -> None:
    for why in obstacles:
        raise Obstacle(why)


def _each(item: str, v: str, made: str, lines: list[str]) -> list[str]:
    """Lines that replace the list `v` by one of its items, each after the given lines."""
    return [
        f"{made} = []",
        f"for {item} in {v}:",
        *indented([*lines, f"{made}.append({item})"]),
        f"{v} = {made}",
    ]
