"""Makes structs for msgspec of what a view returned, by functions generated for each schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import marshmallow
import msgspec
from marshmallow import fields
from sqlalchemy import Row

from trellis_schemas.answers.obstacles import obstacle, own_way
from trellis_schemas.answers.rules import Rule, rule_of
from trellis_schemas.schema import Field, Schema
from trellis_schemas.source import Source
from trellis_schemas.strict_json import to_json

Build = Callable[[Any], Any]
Choice = dict[str, "Choice | None"]
"""Names of fields to what is chosen within them; None is all."""

_BASE = marshmallow.Schema
_MISSING = marshmallow.missing
_FOUND: dict[object, str] = {
    dict: "o.get({!r}, missing)",
    object: "getattr(o, {!r}, missing)",
}
_GIVEN = "{v} is not None and {v} is not missing"
_PLAIN = frozenset({str, int, bool, type(None)})


class Builder:
    """The structs of one schema, which has no `obstacle`."""

    def __init__(self, schema: marshmallow.Schema, choice: Choice | None = None) -> None:
        self.schema = schema
        self.choice = dict.fromkeys(schema.dump_fields) if choice is None else choice
        self.fields = [one for one in schema.dump_fields.items() if one[0] in self.choice]
        # Members of enumerations are told apart from plain names by what is made of them here.
        self._attributes = [str.__str__(field.attribute or name) for name, field in self.fields]
        self.struct = msgspec.defstruct(
            type(schema).__name__,
            [(f"v{number}", Any) for number in range(len(self.fields))],
            rename={
                f"v{number}": str.__str__(name if field.data_key is None else field.data_key)
                for number, (name, field) in enumerate(self.fields)
            },
            gc=False,
        )
        self._builds: dict[object, Build] = {}

    def one(self, value: Any) -> Any:
        """The struct of one object."""
        return self._build_of(value)(value)

    def many(self, values: Iterable[Any]) -> list[Any]:
        """The structs of some; those of one kind in a row share the look at what they are."""
        built: list[Any] = []
        kind: object = None
        for value in values:
            found = value._key_to_index if value.__class__ is Row else value.__class__
            if found is not kind:
                kind, build = found, self._build_of(value)
            built.append(build(value))
        return built

    def _build_of(self, value: Any) -> Build:
        access = self._access(value)
        build = self._builds.get(access)
        if build is None:
            build = self._builds[access] = _BuildSource(self, self._found(access)).build()
        return build

    def _access(self, value: Any) -> object:
        """How attributes are found: by their places in a row, as keys, as attributes, or `None`."""
        kind, own = value.__class__, type(self.schema).get_attribute
        if own is not Schema.get_attribute and (own is not _BASE.get_attribute or kind is Row):
            return None
        if kind is Row:
            return tuple(map(value._key_to_index.get, self._attributes))
        if kind is dict:
            return dict
        return None if hasattr(value, "__getitem__") else object

    def _found(self, access: object) -> list[str | None]:
        """The expression for each attribute of `o`; None where only the schema can tell."""
        if isinstance(access, tuple):
            return [None if place is None else f"o[{place}]" for place in access]
        text = _FOUND.get(access)
        return [text and text.format(name) for name in self._attributes]


class _BuildSource(Source):
    """The text of the function for one schema and one kind of object."""

    def __init__(self, builder: Builder, found: list[str | None]) -> None:
        super().__init__(struct=builder.struct, missing=_MISSING)
        self._builder, self._found = builder, found

    def build(self) -> Build:
        lines, values = [], []
        for (name, field), place in zip(self._builder.fields, self._found, strict=True):
            v = self.variable()
            values.append(v)
            found = None if own_way(field) else place
            rule = found and self._rule(name, field)
            slow = f"{self.named(_by_marshmallow(self._builder.schema, name, field))}(o)"
            if rule:
                lines += [f"{v} = {found}", f"{v} = {_expression(rule, v, slow)}"]
            else:
                lines.append(f"{v} = {slow}")
        return self.function("build(o)", [*lines, f"return struct({', '.join(values)})"])

    def _rule(self, name: str, field: Field) -> Rule | None:
        if isinstance(field, fields.Nested):
            return self._nested(field, self._builder.choice[name])
        if type(field)._serialize is fields.List._serialize:
            return self._list(name, field)
        rule = rule_of(field)
        return None if rule is None else self._resolved(rule)

    def _resolved(self, rule: Rule) -> Rule:
        condition, value = rule.condition, rule.value
        for name, meant in rule.names.items():
            named, braced = self.named(meant), f"{{{name}}}"
            condition, value = condition.replace(braced, named), value.replace(braced, named)
        return Rule(condition, value)

    def _nested(self, field: Any, choice: Choice | None) -> Rule | None:
        if type(field)._serialize is not fields.Nested._serialize or obstacle(field.schema):
            return None
        builder = Builder(field.schema, choice)
        many = field.schema.many or field.many
        build = self.named(builder.many if many else builder.one)
        return Rule(_GIVEN, f"{build}({{v}})")

    def _list(self, name: str, field: Any) -> Rule:
        element = self.variable()
        rule = self._rule(name, field.inner)
        slow = f"{self.named(_element_by_marshmallow(name, field.inner))}({element}, o)"
        written = _expression(rule, element, slow) if rule else slow
        return Rule(_GIVEN, f"[{written} for {element} in {{v}}]")


def _expression(rule: Rule, variable: str, slow: str) -> str:
    condition, value = (text.replace("{v}", variable) for text in (rule.condition, rule.value))
    return f"{value} if {condition} else None if {variable} is None else {slow}"


def children(field: Any) -> marshmallow.Schema | None:
    """The schema of what lies within a field, one or many, where a choice among it can be made."""
    while type(field)._serialize is fields.List._serialize:
        field = field.inner
    if type(field)._serialize is not fields.Nested._serialize or obstacle(field.schema):
        return None
    schema: marshmallow.Schema = field.schema
    return schema


def _by_marshmallow(schema: marshmallow.Schema, name: str, field: Field) -> Build:
    def written(o: Any) -> Any:
        value = field.serialize(name, o, accessor=schema.get_attribute)
        return msgspec.UNSET if value is _MISSING else _plain(value)

    return written


def _element_by_marshmallow(name: str, field: Field) -> Callable[[Any, Any], Any]:
    return lambda value, o: _plain(field._serialize(value, name, o))


def _plain(value: Any) -> Any:
    """A value as msgspec and our own JSON write it alike."""
    return value if value.__class__ in _PLAIN else msgspec.Raw(to_json(value))
