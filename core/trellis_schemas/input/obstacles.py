"""What of a schema or field only marshmallow can load; and the hooks that run on what is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import marshmallow
from marshmallow import fields
from marshmallow.decorators import POST_LOAD, PRE_LOAD, VALIDATES, VALIDATES_SCHEMA
from marshmallow.error_store import ErrorStore

from trellis_schemas.schema import Field

Partial = bool | Collection[str] | None

_LOADING = ("__init__", "load", "_do_load", "_deserialize")
_VALIDATING = ("deserialize", "_validate_missing", "_validate", "_validate_all")


def obstacles(schema: marshmallow.Schema, partial: Partial) -> Iterator[str]:
    """Why nothing of this schema is loaded by compiled code."""
    kind = type(schema)
    for method in _LOADING:
        if getattr(kind, method) is not getattr(marshmallow.Schema, method):
            yield f"{kind.__name__} overrides {method}"
    if schema.dict_class is not dict:
        yield f"{kind.__name__} loads into {schema.dict_class.__name__}"
    if partial not in (None, False, True):
        yield "only some fields may be missing"
    if schema._hooks[PRE_LOAD]:
        yield f"{kind.__name__} has a pre_load hook"
    for hook in (VALIDATES_SCHEMA, POST_LOAD):
        if any(options.get("pass_original") for _, _, options in schema._hooks[hook]):
            yield f"{kind.__name__} has a {hook} hook that looks at the original"
    for name, field in schema.load_fields.items():
        yield from (f"{name}: {why}" for why in _own_ways(field))
        if "." in (field.attribute or name):
            yield f"{name}: the attribute lies in another object"


def _own_ways(field: Field) -> Iterator[str]:
    """Why what the field loads may depend on more than its value."""
    kind = type(field)
    for method in ("deserialize", "_validate_missing"):
        if getattr(kind, method) is not getattr(fields.Field, method):
            yield f"{kind.__name__} overrides {method}"
    if kind._deserialize.__module__ != fields.__name__:
        yield f"{kind.__name__} overrides _deserialize"


def is_plain(field: Field) -> bool:
    """Whether the field validates as fields do, and has no functions of its own around that."""
    kind = type(field)
    same = all(getattr(kind, name) is getattr(fields.Field, name) for name in _VALIDATING)
    return same and not field.pre_load and not field.post_load


def hooks(
    schema: marshmallow.Schema, partial: Partial, unknown: str
) -> Callable[[Any], Any] | None:
    """What runs the hooks of a schema on what it loaded, which may raise ValidationError."""
    if not any(schema._hooks[hook] for hook in (VALIDATES, VALIDATES_SCHEMA, POST_LOAD)):
        return None
    options: dict[str, Any] = {"many": schema.many, "partial": partial, "unknown": unknown}

    def run(loaded: Any) -> Any:
        store = ErrorStore()  # type: ignore[no-untyped-call]
        schema._invoke_field_validators(error_store=store, data=loaded, many=schema.many)
        for whole in (True, False):
            schema._invoke_schema_validators(
                error_store=store,
                pass_collection=whole,
                data=loaded,
                original_data=loaded,
                **options,
            )
        if store.errors:
            raise marshmallow.ValidationError(store.errors)
        return schema._invoke_load_processors(POST_LOAD, loaded, original_data=loaded, **options)

    return run
