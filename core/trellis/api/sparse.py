"""`?fields=id,title`: of each item, or of the one thing that is answered, only what is named."""

from __future__ import annotations

from functools import lru_cache

import marshmallow
from flask import request

from trellis.errors import InvalidInput
from trellis_schemas.answers import Choice, Encoder, children

FIELDS = "fields"
"""The parameter: keys of the answer, divided by commas; `photo.url` is one within another."""

_MOST_CHOICES = 64  # that are kept compiled, for each schema


class SparseEncoder:
    """Encoders of a schema: of the whole answer, and of the parts that requests ask for."""

    def __init__(self, schema: marshmallow.Schema, whole: Encoder) -> None:
        self._schema, self._whole = schema, whole
        # Of a page the items are narrowed; how it goes on is always told.
        self._is_page = getattr(type(schema), "page_of", None) is not None
        self._choices = lru_cache(_MOST_CHOICES)(self._narrowed)

    def of_request(self) -> Encoder:
        """For what this request asks for. Raises InvalidInput for a field that there is not."""
        if request.method in ("GET", "HEAD") and (named := request.args.get(FIELDS)) is not None:
            return self._choices(frozenset(named.split(",")))
        return self._whole

    def _narrowed(self, names: frozenset[str]) -> Encoder:
        choice: Choice = dict.fromkeys(self._schema.dump_fields) if self._is_page else {}
        if self._is_page:
            choice["items"] = {}
        for name in sorted(names):
            _choose(choice, self._schema, f"items.{name}" if self._is_page else name)
        return Encoder(self._schema, choice)


def _choose(choice: Choice, schema: marshmallow.Schema, path: str) -> None:
    """Add what a path of keys leads to."""
    *outer, last = path.split(".")
    chosen: Choice | None = choice
    inner: marshmallow.Schema | None = schema
    for key in outer:
        name, inner = _found(inner, key, path)
        if chosen is not None:  # else all that is around it is chosen already
            chosen = chosen.setdefault(name, {})
    name, _ = _found(inner, last, path)
    if chosen is not None:
        chosen[name] = None


def _found(
    schema: marshmallow.Schema | None, key: str, path: str
) -> tuple[str, marshmallow.Schema | None]:
    """Name of the field with this key, and the schema within it."""
    for name, field in schema.dump_fields.items() if schema else ():
        if key == (name if field.data_key is None else field.data_key):
            return name, children(field)
    raise InvalidInput.field(f"/{FIELDS}", f"There is no field {path!r}.", location="query")
