"""What values of a field are written as, when they are of the type that the field is for.

A rule belongs to the method that writes in marshmallow: it holds for every class of fields that
inherits this method, and for none that overrides it. In the texts of a rule ``{v}`` is the value,
and each of its `names` in braces is what it stands for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from marshmallow import fields

from trellis_schemas.schema import Field, Timestamp


@dataclass(frozen=True)
class Rule:
    """Where `condition` is true, `value` is what msgspec writes; None is always written as null."""

    condition: str
    value: str = "{v}"
    names: Mapping[str, Any] = field(default_factory=dict)


_STRING = Rule("{v}.__class__ is str")
_INTEGER = Rule("{v}.__class__ is int")
_FLOAT = Rule("{v}.__class__ is float and {v} - {v} == 0.0")  # neither NaN nor infinite
_ANYTHING = Rule("{v}.__class__ is str or {v}.__class__ is bool or {v}.__class__ is int")
_UUID = Rule("{v}.__class__ is {uuid}", names={"uuid": UUID})
_MOMENT = Rule(
    "{v}.__class__ is {datetime} and {v}.tzinfo is {utc}",
    names={"datetime": dt.datetime, "utc": dt.UTC},
)
_ISO = Rule("{v}.__class__ is {datetime}", "{v}.isoformat()", {"datetime": dt.datetime})
_DATE = Rule("{v}.__class__ is {date}", names={"date": dt.date})
_TIME = Rule("{v}.__class__ is {time} and {v}.tzinfo is None", names={"time": dt.time})


def rule_of(field: Field) -> Rule | None:
    """The rule of a field of single values; None where marshmallow writes each of them."""
    find = _RULES.get(type(field)._serialize)
    return find(field) if find else None


def _number(field: Any) -> Rule | None:
    kind = type(field)
    if field.as_string or kind._format_num is not fields.Number._format_num:
        return None
    return {int: _INTEGER, float: _FLOAT}.get(kind.num_type)


def _temporal(field: Any) -> Rule | None:
    written = field.SERIALIZATION_FUNCS.get(field.format or field.DEFAULT_FORMAT)
    return _ISO_RULES.get(written)


def _enum(field: Any) -> Rule | None:
    written: dict[object, Any] = {
        member: field._serialize(member, None, None) for member in field.enum
    }
    if not all(text.__class__ in (str, int, bool) for text in written.values()):
        return None
    return Rule(
        "{v}.__class__ is {kind} and {v} in {written}",
        "{written}[{v}]",
        {"kind": field.enum, "written": written},
    )


_ISO_RULES = {
    fields.DateTime.SERIALIZATION_FUNCS["iso"]: _ISO,
    fields.Date.SERIALIZATION_FUNCS["iso"]: _DATE,
    fields.Time.SERIALIZATION_FUNCS["iso"]: _TIME,
}
_RULES: dict[object, Callable[[Any], Rule | None]] = {
    fields.Field._serialize: lambda _: _ANYTHING,
    fields.String._serialize: lambda _: _STRING,
    fields.UUID._serialize: lambda _: _UUID,
    fields.Number._serialize: _number,
    fields.DateTime._serialize: _temporal,
    fields.Enum._serialize: _enum,
    Timestamp._serialize: lambda _: _MOMENT,
}
