"""Rows in PostgreSQL's text format of COPY, which SQLite's rows are turned into and out of.

One form for both databases: PostgreSQL writes and reads it by itself, and a set can move from one
to the other. Times are UTC, ids have their hyphens, bytes are hexadecimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CHAR, Boolean, DateTime, Float, Integer, LargeBinary, Numeric
from sqlalchemy.types import TypeEngine

_NULL = b"\\N"
_WRITTEN = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_WRITTEN |= {"\v": "\\v"}
_READ = {written[1]: plain for plain, written in _WRITTEN.items()}
_SPECIAL = re.compile("[\\\\\n\r\t\b\f\v]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_HEX_ID = re.compile(r"[0-9a-f]{32}")
# A table's rows reach the next room in pieces of about this size.
_PIECE = 64 * 1024

Value = str | int | float | bytes | None


def written(rows: Iterable[Sequence[Value]], types: Sequence[TypeEngine[Any]]) -> Iterator[bytes]:
    """SQLite's rows as COPY's lines, in pieces that end with a line."""
    writers = [_writer(type_) for type_ in types]
    waiting: list[bytes] = []
    size = 0
    for row in rows:
        fields = [
            _NULL if value is None else write(value).encode()
            for write, value in zip(writers, row, strict=True)
        ]
        waiting.append(b"\t".join(fields) + b"\n")
        size += len(waiting[-1])
        if size >= _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def parsed(
    pieces: Iterable[bytes], types: Sequence[TypeEngine[Any]]
) -> Iterator[tuple[Value, ...]]:
    """COPY's lines as rows for SQLite. Raises ValueError for what is none."""
    readers = [_reader(type_) for type_ in types]
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield tuple(
                None if field == _NULL else read(_plain(field))
                for read, field in zip(readers, line.split(b"\t"), strict=True)
            )
    if rest:
        raise ValueError("the last line has no end")


def _writer(type_: TypeEngine[Any]) -> Callable[[Any], str]:
    if isinstance(type_, Boolean):
        return lambda value: "t" if value else "f"
    if isinstance(type_, DateTime):
        return lambda value: f"{value}+00"
    if _is_id(type_):
        return lambda value: _hyphened(value) if _HEX_ID.fullmatch(value) else _escaped(value)
    if isinstance(type_, LargeBinary):
        return lambda value: "\\\\x" + value.hex()
    return lambda value: _escaped(str(value))


def _reader(type_: TypeEngine[Any]) -> Callable[[str], Value]:
    if _is_id(type_):
        return lambda text: text.replace("-", "")
    for kind, read in _READERS.items():
        if isinstance(type_, kind):
            return read
    return str


def _is_id(type_: TypeEngine[Any]) -> bool:
    """SQLite has no type for UUIDs; SQLAlchemy keeps them in its only CHARs of this length."""
    return isinstance(type_, CHAR) and type_.length == 32


def _hyphened(hexadecimal: str) -> str:
    parts = (slice(0, 8), slice(8, 12), slice(12, 16), slice(16, 20), slice(20, 32))
    return "-".join(hexadecimal[part] for part in parts)


def _time(text: str) -> str:
    """As SQLAlchemy keeps times in SQLite: all of one length, so that they compare as text."""
    time = datetime.fromisoformat(text).astimezone(UTC)
    return time.replace(tzinfo=None).isoformat(" ", "microseconds")


_READERS: dict[type[TypeEngine[Any]], Callable[[str], Value]] = {
    Boolean: lambda text: int(text == "t"),
    Integer: int,
    DateTime: _time,
    LargeBinary: lambda text: bytes.fromhex(text.removeprefix("\\x")),
    Float: float,
    Numeric: float,  # what SQLite makes of it as well
}


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _WRITTEN[found[0]], text)


def _plain(field: bytes) -> str:
    text = field.decode()
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _READ.get(found[1], found[1]), text)
