"""What a schema or a field does in a way of its own, so that only marshmallow can do it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import marshmallow
from marshmallow import fields
from marshmallow.decorators import POST_DUMP, PRE_DUMP

from trellis_schemas.answers.rules import rule_of
from trellis_schemas.schema import Field, Schema

_BASE = marshmallow.Schema
_KEY = re.compile(r'[^"\\\x00-\x1f]*')
_DEEPEST = 10  # of schemas that hold themselves


def obstacle(schema: marshmallow.Schema) -> str | None:
    """Why answers of this schema are not written by compiled code."""
    for hook in (PRE_DUMP, POST_DUMP):
        if schema._hooks[hook]:
            return f"{type(schema).__name__} has a {hook} hook"
    for method in ("dump", "_serialize"):
        if getattr(type(schema), method) is not getattr(_BASE, method):
            return f"{type(schema).__name__} overrides {method}"
    keys = [name if f.data_key is None else f.data_key for name, f in schema.dump_fields.items()]
    if unsafe := [key for key in keys if not _KEY.fullmatch(key)]:
        return f"{type(schema).__name__} has the key {unsafe[0]!r}"
    return None


def own_way(field: Field) -> str | None:
    """Why the value of this field is not simply an attribute of the object."""
    kind = type(field)
    if not field._CHECK_ATTRIBUTE:
        return f"{kind.__name__} makes its value by itself"
    if kind.serialize is not fields.Field.serialize or kind.get_value is not fields.Field.get_value:
        return f"{kind.__name__} finds its value by itself"
    if "." in (field.attribute or field.name or ""):
        return "the attribute lies in another object"
    return None


def by_marshmallow(schema: marshmallow.Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """JSON pointer of each part that marshmallow writes, and why."""
    if why := obstacle(schema):
        yield path, why
        return
    if type(schema).get_attribute not in (_BASE.get_attribute, Schema.get_attribute):
        yield path, f"{type(schema).__name__} finds its values by itself"
        return
    if path.count("/") > _DEEPEST:
        return
    for name, field in schema.dump_fields.items():
        key = name if field.data_key is None else field.data_key
        yield from _field(field, f"{path}/{key}")


def _field(field: Any, path: str) -> Iterator[tuple[str, str]]:
    if why := own_way(field):
        yield path, why
    elif type(field)._serialize is fields.Nested._serialize:
        yield from by_marshmallow(field.schema, path)
    elif type(field)._serialize is fields.List._serialize:
        yield from _field(field.inner, f"{path}/*")
    elif rule_of(field) is None:
        yield path, f"no rule for {type(field).__name__} as it is set"
