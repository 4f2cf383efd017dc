"""What a field takes by compiled code, and how that becomes what the field would load.

As with answers, a rule belongs to the method of marshmallow that it stands for: it holds for every
class of fields that inherits the method, and for none that overrides it. In the texts of a rule
``{v}`` is the value and ``{u}`` what the rule uses.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from marshmallow import fields, validate

from trellis_schemas.schema import Field

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


@dataclass(frozen=True)
class Rule:
    """What msgspec makes of the JSON is of this `kind`; from it `body` makes the value.

    `text` makes it of a parameter of the query; None where marshmallow does. Values of which
    `refused` holds are left to marshmallow.
    """

    kind: Any
    body: str = "{v}"
    text: str | None = None
    refused: str | None = None
    uses: Any = None


def rule_of(field: Field) -> Rule | None:
    """The rule of a field of single values; None where marshmallow reads each of them."""
    find = _RULES.get(type(field)._deserialize)
    return find(field) if find else None


def _uuid(field: Any) -> Rule | None:
    if type(field)._validated is not fields.UUID._validated:
        return None
    return Rule(UUID, text="{u}({v})", uses=UUID)


def _number(field: Any) -> Rule | None:
    kind = type(field)
    if kind._format_num is not fields.Number._format_num:
        return None
    if kind._validated is fields.Integer._validated and kind.num_type is int:
        return Rule(Int64, text=None if field.strict else "int({v})")
    if kind._validated is fields.Float._validated and kind.num_type is float:
        # Above it a whole number may be one beyond 64 bits, which msgspec takes for a float.
        return Rule(float, refused="not -9e18 < {v} < 9e18")
    return None


def _boolean(field: Any) -> Rule | None:
    if not field.truthy:
        return None
    words = dict.fromkeys(field.falsy, False) | dict.fromkeys(field.truthy, True)
    if words.get(True) is True and words.get(False) is False:
        return Rule(bool, text="{u}[{v}]", uses=words)
    return Rule(str, "{u}[{v}]", "{u}[{v}]", uses=words)


def _enum(field: Any) -> Rule | None:
    makes = type(field.enum)
    if makes is not enum.EnumType or field.by_value not in (True, False):
        return None
    if not field.by_value:
        return Rule(str, "{u}[{v}]", "{u}[{v}]", uses=dict(field.enum.__members__))
    if any(type(member.value) not in (str, int) for member in field.enum):
        return None
    members = {member.value: member for member in field.enum}
    kinds = {type(value) for value in members}
    if kinds == {str}:
        return Rule(str, "{u}[{v}]", "{u}[{v}]", uses=members)
    return Rule(Int64, "{u}[{v}]", uses=members) if kinds == {int} else None


def _temporal(field: Any, refused: str | None = None) -> Rule | None:
    read = field.DESERIALIZATION_FUNCS.get(field.format)
    if read is None or field.format not in ("iso", "iso8601"):
        return None
    return Rule(str, "{u}({v})", "{u}({v})", refused, read)


_RULES: dict[object, Callable[[Any], Rule | None]] = {
    fields.String._deserialize: lambda _: Rule(str, text="{v}"),
    fields.UUID._deserialize: _uuid,
    fields.Number._deserialize: _number,
    fields.Boolean._deserialize: _boolean,
    fields.Enum._deserialize: _enum,
    fields.DateTime._deserialize: _temporal,  # and that of dates and times
    fields.AwareDateTime._deserialize: lambda f: _temporal(f, "{v}.utcoffset() is None"),
    fields.NaiveDateTime._deserialize: lambda f: _temporal(f, "{v}.utcoffset() is not None"),
}


def checks(validator: Any, v: str, named: Callable[[object], str]) -> Iterator[str]:
    """Lines that return or raise unless the validator takes `v`; `named` names what they use."""
    kind = type(validator)
    refused: list[str] = []
    if kind is validate.Length:
        bounds = (("!=", validator.equal), ("<", validator.min), (">", validator.max))
        refused = [f"len({v}) {sign} {named(b)}" for sign, b in bounds if b is not None]
    elif kind is validate.Range:
        below = ("<" if validator.min_inclusive else "<=", validator.min)
        above = (">" if validator.max_inclusive else ">=", validator.max)
        refused = [f"{v} {sign} {named(b)}" for sign, b in (below, above) if b is not None]
    elif kind is validate.OneOf:
        refused = [f"{v} not in {named(validator.choices)}"]
    elif kind is validate.Regexp:
        refused = [f"{named(validator.regex.match)}({v}) is None"]
    else:
        yield f"{named(validator)}({v})"
    if refused:
        yield f"if {' or '.join(refused)}: return None"
