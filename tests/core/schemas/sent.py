"""Strategies: schemas of every kind of field, and the JSON that is sent for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import marshmallow
from hypothesis import strategies as st
from marshmallow import EXCLUDE, INCLUDE, RAISE, ValidationError, fields
from tests.core.schemas.kinds import KINDS, LENGTHS, Literal, anything

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may come twice."""


@st.composite
def options(draw: Draw, validators: tuple[Any, ...], default: Any) -> dict[str, Any]:
    """What a field is made with."""
    made: dict[str, Any] = {"load_only": True}  # so that two of them may read one key
    state = draw(st.sampled_from(["required", "optional", "default"]))
    if state == "required":
        made["required"] = True
    elif state == "default":
        made["load_default"] = default
    if draw(st.booleans()):
        made["allow_none"] = True
    if validators and draw(st.integers(0, 3)) == 0:
        made["validate"] = draw(st.lists(st.sampled_from(validators), max_size=2))
    return made


@st.composite
def members(
    draw: Draw, depth: int, forms: Sequence[str]
) -> tuple[fields.Field[Any], st.SearchStrategy[Any]]:
    """A field, and what is often sent for it."""
    form = draw(st.sampled_from(forms)) if depth else "one"
    if form == "one":
        kind, values, validators, default = draw(st.sampled_from(KINDS))
        return kind(**draw(options(validators, default))), values
    if form == "list":
        inner, values = draw(members(depth - 1, forms))
        return fields.List(inner, **draw(options(LENGTHS, list))), st.lists(values, max_size=3)
    many = draw(st.booleans())
    schema, values = draw(schemas(depth - 1))
    field = fields.Nested(
        type(schema), many=many, unknown=draw(unknowns), **draw(options((), dict))
    )
    return field, st.lists(values, max_size=3) if many else values


unknowns = st.sampled_from([None, RAISE, EXCLUDE, INCLUDE])
keys = st.sampled_from(["a", "b", "a b", "é", "", 'q"', "x:y", "k\\", "_"])


@st.composite
def schemas(
    draw: Draw, depth: int = 2, forms: Sequence[str] = ("one", "one", "list", "nested")
) -> tuple[marshmallow.Schema, st.SearchStrategy[Any]]:
    """A schema, and what is often sent for it."""
    made: dict[str, Any] = {}
    always: dict[str, st.SearchStrategy[Any]] = {}
    often: dict[str, st.SearchStrategy[Any]] = {}
    for name in draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=4)):
        field, values = draw(members(depth, forms))
        if draw(st.integers(0, 3)) == 0:
            field.data_key = draw(keys)
        if draw(st.integers(0, 5)) == 0:
            field.attribute = f"{name}_"
        made[name] = field
        place = always if field.required else often
        place[name if field.data_key is None else field.data_key] = values
    if draw(st.integers(0, 4)) == 0:
        made["hook"] = draw(st.sampled_from(HOOKS))
    kind = marshmallow.Schema.from_dict(made, name="Drawn")
    schema = kind(
        unknown=draw(unknowns), partial=draw(st.sampled_from([None, None, None, True, False]))
    )
    optional = {key: values for key, values in often.items() if key not in always}
    return schema, st.fixed_dictionaries(always, optional=optional)


@marshmallow.post_load
def _as_items(_: Any, data: Any, **__: Any) -> Any:
    return list(data.items())


@marshmallow.pre_load
def _same(_: Any, data: Any, **__: Any) -> Any:
    return data


@marshmallow.validates_schema
def _small(_: Any, data: Any, **__: Any) -> None:
    if len(data) > 2:
        raise ValidationError("Too much.")


@marshmallow.validates_schema(pass_original=True)
def _all_read(_: Any, data: Any, original: Any, **__: Any) -> None:
    if len(data) != len(original):
        raise ValidationError("Some were not read.")


HOOKS = [_as_items, _same, _small, _all_read]


@st.composite
def bodies(draw: Draw, values: st.SearchStrategy[Any]) -> tuple[bytes, bool]:
    """A body, and whether it is what is often sent."""
    sent = draw(values)
    blanks = draw(st.sampled_from(["", "", " ", "\n\t", "\r\n "]))
    harm = draw(st.sampled_from(["none", "none", "none", "value", "key", "bytes"]))
    if harm == "value":
        sent = _spoilt(draw, sent)
    if harm == "key" and isinstance(sent, dict):
        pairs = [*sent.items(), (draw(keys), draw(anything)), *sent.items()]
        sent = Pairs(draw(st.lists(st.sampled_from(pairs), max_size=len(pairs))))
    text = written(sent, blanks, ascii_only=draw(st.booleans())).encode()
    if harm == "bytes":
        place = draw(st.integers(0, len(text)))
        new = draw(st.sampled_from(b'":,{}\\\xff\x00 1'))
        text = text[:place] + bytes([new]) + text[place + draw(st.integers(0, 2)) :]
    return text, harm == "none"


def _spoilt(draw: Draw, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: _spoilt(draw, value[key])}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [*value[:-1], _spoilt(draw, value[-1])]
    return draw(anything)


def written(value: Any, blanks: str, *, ascii_only: bool) -> str:
    """JSON, or what somebody takes for it."""

    def inner(part: Any) -> str:
        return written(part, blanks, ascii_only=ascii_only)

    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, dict):
        value = Pairs(value.items())
    comma, colon = f"{blanks},{blanks}", f"{blanks}:{blanks}"
    if isinstance(value, Pairs):
        members = comma.join(inner(key) + colon + inner(member) for key, member in value)
        return f"{{{blanks}{members}{blanks}}}"
    if isinstance(value, list):
        return f"[{comma.join(map(inner, value))}]"
    return json.dumps(value, ensure_ascii=ascii_only)
