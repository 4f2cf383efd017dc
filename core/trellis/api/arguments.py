"""Reads arguments for views: strict JSON, and one form of field errors for every location."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Never

import marshmallow
from flask import Request
from webargs import missing
from webargs.flaskparser import FlaskParser, is_json_request

from trellis.api.strict_json import strict_loads
from trellis.errors import (
    BadRequest,
    ContentTooLarge,
    FieldError,
    InvalidInput,
    Location,
    MalformedBody,
)

MAX_ERRORS = 100

_LOCATIONS: dict[str, Location] = {
    "json": "body",
    "json_or_form": "body",
    "query": "query",
    "querystring": "query",
    "form": "form",
    "files": "file",
    "headers": "header",
    "cookies": "cookie",
    "path": "path",
    "view_args": "path",
}


class ArgumentsParser(FlaskParser):
    """webargs for Flask, raising domain errors."""

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True) if is_json_request(req) else b""
        if not body:
            return missing
        if req.content_length is None and len(body) == req.max_content_length:
            # A body sent in chunks: werkzeug stops at the bound and hands out what it has.
            raise ContentTooLarge(max_bytes=req.max_content_length)
        try:
            return strict_loads(body)
        except ValueError as fault:
            raise MalformedBody(str(fault)) from None

    def load_form(self, req: Request, schema: marshmallow.Schema) -> Any:
        """The fields of a form; NUL, which no database stores, is refused."""
        if any("\x00" in value for value in req.form.values()):
            raise BadRequest("A field of the form contains NUL.")
        return super().load_form(req, schema)

    def handle_error(self, error: marshmallow.ValidationError, *_: Any, **__: Any) -> Never:
        """Turn marshmallow's tree of messages into a flat list, bounded by `MAX_ERRORS`."""
        raise InvalidInput(errors=islice(_field_errors(error.messages), MAX_ERRORS)) from error


def _field_errors(messages: Any) -> Iterator[FieldError]:
    for location, tree in messages.items():
        for pointer, detail in _flatten(tree, ""):
            yield FieldError(location=_LOCATIONS[location], pointer=pointer, detail=detail)


def _flatten(tree: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        for key, branch in tree.items():
            step = "" if key == "_schema" else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from _flatten(branch, pointer + step)
    elif isinstance(tree, list):
        for branch in tree:
            yield from _flatten(branch, pointer)
    else:
        yield pointer, str(tree)
