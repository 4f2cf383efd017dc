"""`?fields=id,title`: of each item, or of the one thing that is answered, only what is named."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import marshmallow
from flask import request

from trellis.api.compiled import Encoder
from trellis.errors import InvalidInput

FIELDS = "fields"
"""The parameter: keys of the answer, divided by commas; `photo.url` is one within another."""

_MOST_CHOICES = 64  # that are kept compiled, for each schema


class SparseEncoder:
    """Writes answers of a schema, whole or in the part that the request asks for."""

    def __init__(self, schema: marshmallow.Schema) -> None:
        self._schema = schema
        self._whole = Encoder(schema)
        # Of a page the items are narrowed; how it goes on is always told.
        self._page = getattr(type(schema), "page_of", None) is not None
        self._choices = lru_cache(_MOST_CHOICES)(self._narrowed)

    def encode(self, value: Any) -> bytes:
        """The answer to this request. Raises InvalidInput for a field that there is not."""
        if request.method in ("GET", "HEAD") and (named := request.args.get(FIELDS)) is not None:
            return self._choices(named).encode(value)
        return self._whole.encode(value)

    def _narrowed(self, named: str) -> Encoder:
        schema = self._schema
        paths = [f"items.{name}" if self._page else name for name in named.split(",")]
        only = {_attributes(schema, path.split("."), named) for path in paths}
        if self._page:
            only |= set(schema.fields) - {"items"}
        return Encoder(type(schema)(only=only, exclude=schema.exclude, many=schema.many))


def _attributes(schema: marshmallow.Schema, keys: list[str], named: str) -> str:
    """The path of attributes behind a path of keys."""
    names: list[str] = []
    inner: marshmallow.Schema | None = schema
    for key in keys:
        found = inner and next(
            (
                (name, field)
                for name, field in inner.dump_fields.items()
                if key == (name if field.data_key is None else field.data_key)
            ),
            None,
        )
        if not found:
            detail = f"There is no field {key!r} among {named!r}."
            raise InvalidInput.field(f"/{FIELDS}", detail, location="query")
        name, field = found
        names.append(name)
        field = getattr(field, "inner", field)
        inner = getattr(field, "schema", None)
    return ".".join(names)
