"""`application/merge-patch+json` (RFC 7396): what is absent stays, and null removes."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import marshmallow
from marshmallow import fields, post_load

MEDIA_TYPE = "application/merge-patch+json"

_MERGED = (fields.Nested, fields.Mapping, fields.Raw)


@cache
def patch_schema(kind: type[marshmallow.Schema]) -> type[marshmallow.Schema]:
    """The schema of changes to what `kind` makes; it loads those fields that the patch names.

    Null gives what the field would be without being given: its `load_default`, or None. What is
    required cannot be removed. Raises TypeError for a field that holds an object, as that would
    have to be merged with what is there.
    """
    changed: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    for name, field in kind._declared_fields.items():
        if field.dump_only:
            continue
        if isinstance(field, _MERGED) and not getattr(field, "many", False):
            raise TypeError(
                f"{kind.__name__}.{name} holds an object: patch it by a route of its own"
            )
        changed[name] = copy = deepcopy(field)
        copy.load_default = marshmallow.missing
        if not field.required:
            default = field.load_default
            removed[field.attribute or name] = None if default is marshmallow.missing else default
            copy.allow_none = True
        copy.required = False

    def without(_: Any, data: dict[str, Any], **__: Any) -> dict[str, Any]:
        nulls = [name for name, value in data.items() if value is None and name in removed]
        gone = {name: removed[name] for name in nulls}
        return data | {name: value() if callable(value) else value for name, value in gone.items()}

    members = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "_without": post_load(without),
    }
    return type(f"{kind.__name__.removesuffix('Schema')}PatchSchema", (kind,), changed | members)
