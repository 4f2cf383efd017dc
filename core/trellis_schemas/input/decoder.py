"""Bodies and queries loaded by compiled code: it accepts, and marshmallow explains.

What compiled code gives is what `schema.load(strict_loads(body))` would return, in values, types
and order. Otherwise it gives None: then marshmallow loads it, or says what is wrong, from the very
beginning. Hooks run on one object of the schema for all requests, as they do when `arguments` is
given an object.

msgspec takes the last of duplicate keys and passes over unknown ones. So the keys that were loaded
are counted, and compared with those of the body. Behind each of these stands a quotation mark and a
colon, with nothing but blanks between; without its blanks, a body holds this pair at least as often
as it has keys, for text in strings can only add pairs. So a body with as many pairs as keys were
loaded has no other key. All else both parsers refuse alike, but for three things that only msgspec
takes: NUL, which needs the escape that is looked for; whole numbers beyond 64 bits, which the rules
and `weigh` refuse; and any depth, which `weigh` bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import marshmallow
import msgspec

from trellis_schemas.input.loading import LoadSource, Obstacle

_BLANKS = b" \t\n\r"


@dataclass(frozen=True)
class Decoder:
    """`load` gives what a schema would load, or None where only marshmallow can tell.

    `reasons` are the parts that marshmallow loads, by JSON pointer, and why; with the pointer "" it
    is the whole, and `load` always gives None.
    """

    load: Callable[[Any], Any]
    reasons: tuple[tuple[str, str], ...]


def body_decoder(schema: marshmallow.Schema) -> Decoder:
    """Of JSON, as bytes."""
    source = LoadSource()
    try:
        kind, load = source.body(schema)
    except Obstacle as why:
        return Decoder(_nothing, (("", str(why)),))
    decode = msgspec.json.Decoder(kind).decode

    def load_body(body: bytes) -> Any:
        if b"\\" in body and b"\\u0000" in body:
            return None
        try:
            loaded = load(decode(body))
        except Exception:  # noqa: BLE001 (marshmallow meets it again, and there it is told or shown)
            return None
        if loaded is None or loaded[1] != body.translate(None, _BLANKS).count(b'":'):
            return None
        return loaded[0]

    return Decoder(load_body, tuple(source.reasons))


def query_decoder(schema: marshmallow.Schema, several: Collection[str] = ()) -> Decoder:
    """Of the parameters of a query, as a mapping; of those of `several`, `getlist` gives all."""
    source = LoadSource()
    try:
        load = source.query(schema, several)
    except Obstacle as why:
        return Decoder(_nothing, (("", str(why)),))

    def load_query(args: Any) -> Any:
        try:
            return load(args)
        except Exception:  # noqa: BLE001 (as above)
            return None

    return Decoder(load_query, tuple(source.reasons))


def _nothing(_: Any) -> None:
    """Leaves it to marshmallow."""
