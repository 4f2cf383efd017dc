"""An example for every body of the document, made from the schema where the author gave none.

A field's `metadata={"example": …}` always wins; the rest follows from type and validators.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, missing, validate

_DEEPEST = 2  # of schemas that hold themselves


def example_of(schema: Schema, *, sent: bool) -> Any:
    """An example of a body; `sent` by the client, or else returned to it."""
    body = _example(schema, sent, 0)
    return [body] if schema.many else body


def _example(schema: Schema, sent: bool, depth: int) -> dict[str, Any]:
    shown = schema.load_fields if sent else schema.dump_fields
    return {
        field.data_key or name: _field_example(field, sent, depth) for name, field in shown.items()
    }


def _field_example(field: fields.Field[Any], sent: bool, depth: int) -> Any:
    if "example" in field.metadata:
        return field.metadata["example"]
    default = field.load_default if sent else field.dump_default
    if default is not missing and default is not None and not callable(default):
        return field._serialize(default, None, None)
    for rule in field.validators:
        if isinstance(rule, validate.OneOf):
            return next(iter(rule.choices))
    return _composed_example(field, sent, depth)


def _composed_example(field: fields.Field[Any], sent: bool, depth: int) -> Any:
    if isinstance(field, fields.Nested):
        many = field.many or field.schema.many
        if depth == _DEEPEST:
            return [] if many else {}
        inner = _example(field.schema, sent, depth + 1)
        return [inner] if many else inner
    if isinstance(field, fields.List):
        deepest = depth == _DEEPEST and isinstance(field.inner, fields.Nested)
        return [] if deepest else [_field_example(field.inner, sent, depth)]
    if isinstance(field, fields.Dict):
        values = field.value_field
        return {"key": _field_example(values, sent, depth)} if values else {}
    for kind, value in _BY_TYPE:
        if isinstance(field, kind):
            return value(field) if callable(value) else value
    return None


def _integer(field: Any) -> Any:
    lowest = [
        rule.min for rule in field.validators if isinstance(rule, validate.Range) and rule.min
    ]
    return max(lowest, default=1)


def _string(field: Any) -> Any:
    bounds = [rule for rule in field.validators if isinstance(rule, validate.Length)]
    text = "text".ljust(max((rule.min or rule.equal or 0 for rule in bounds), default=0), "x")
    return text[: min((rule.max or rule.equal or len(text) for rule in bounds), default=len(text))]


# The first matching class wins: a subclass stands before its base.
_BY_TYPE: tuple[tuple[type[Any], Any], ...] = (
    (fields.Enum, lambda field: field._serialize(next(iter(field.enum)), None, None)),
    (fields.Constant, lambda field: field.constant),
    (fields.UUID, "0198c0de-7a00-7000-8000-000000000001"),
    (fields.Email, "ada@example.com"),
    (fields.Url, "https://example.com/"),
    (fields.String, _string),
    (fields.AwareDateTime, "2026-01-31T12:00:00Z"),
    (fields.NaiveDateTime, "2026-01-31T12:00:00"),
    (fields.Date, "2026-01-31"),
    (fields.DateTime, "2026-01-31T12:00:00Z"),
    (fields.Time, "12:00:00"),
    (fields.Boolean, True),
    (fields.Integer, _integer),
    (fields.Float, 0.5),
    (fields.Decimal, 1.5),
)
