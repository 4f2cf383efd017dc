"""Reads arguments for views: strict JSON, and one form of field errors for every location."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Never

import marshmallow
from flask import Request, request
from webargs import missing
from webargs.core import _UNKNOWN_DEFAULT_PARAM
from webargs.flaskparser import FlaskParser, is_json_request
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from trellis.errors import (
    BadRequest,
    ContentTooLarge,
    FieldError,
    InvalidInput,
    Location,
    MalformedBody,
)
from trellis_schemas.input import Decoder, body_decoder, query_decoder
from trellis_schemas.strict_json import strict_loads

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
    """webargs for Flask, raising domain errors; what compiled code can load does not come to it."""

    def use_args(self, argmap: Any, *args: Any, location: str | None = None, **options: Any) -> Any:
        """Compile now, so that what is wrong with a schema shows at start."""
        decoder_of(argmap, location or self.location)
        return super().use_args(argmap, *args, location=location, **options)

    def parse(
        self,
        argmap: Any,
        req: Request | None = None,
        *,
        location: str | None = None,
        unknown: str | None = _UNKNOWN_DEFAULT_PARAM,
        validate: Any = None,
        **options: Any,
    ) -> Any:
        """What the schema loads. Raises InvalidInput, MalformedBody and ContentTooLarge."""
        req = request if req is None else req
        location = location or self.location
        decoder = decoder_of(argmap, location)
        if decoder and unknown == _UNKNOWN_DEFAULT_PARAM and validate is None:
            loaded = decoder.load(_json_body(req) if location == "json" else req.args)
            if loaded is not None:
                return loaded
        return super().parse(
            argmap, req, location=location, unknown=unknown, validate=validate, **options
        )

    def _raw_load_json(self, req: Request) -> Any:
        body = _json_body(req)
        if not body:
            return missing
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


def decoder_of(argmap: Any, location: str) -> Decoder | None:
    """What loads for a schema before marshmallow is asked; None where nothing is compiled."""
    kind = argmap if isinstance(argmap, type) else type(argmap)
    return _decoder_of(argmap, location) if issubclass(kind, marshmallow.Schema) else None


@cache
def _decoder_of(argmap: Any, location: str) -> Decoder | None:
    schema = argmap() if isinstance(argmap, type) else argmap
    if location == "json":
        return body_decoder(schema)
    if location in ("query", "querystring"):
        return query_decoder(schema, MultiDictProxy(MultiDict(), schema).multiple_keys)
    return None


def _json_body(req: Request) -> bytes:
    """The body, which can be read again; empty unless it is JSON. Raises ContentTooLarge."""
    body = req.get_data(cache=True) if is_json_request(req) else b""
    if body and req.content_length is None and len(body) == req.max_content_length:
        # A body sent in chunks: werkzeug stops at the bound and hands out what it has.
        raise ContentTooLarge(max_bytes=req.max_content_length)
    return body


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
