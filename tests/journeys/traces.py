"""Finds what an installation holds of a person: in tables, in files as they are, in the broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

from redis import Redis
from tests.processes import Trellis


def traces(server: Trellis, sought: Mapping[str, str]) -> set[tuple[str, str]]:
    """(where, what) for each place that holds something of what is sought, which has names.

    An id is sought in each of the forms in which something may keep it.
    """
    forms = [(name, form) for name, value in sought.items() for form in _forms(value)]
    return {
        (where, name)
        for where, content in _places(server)
        for name, form in forms
        if form in content
    }


def _forms(value: str) -> list[bytes]:
    try:
        id_ = UUID(value)
    except ValueError:
        return [value.encode()]
    return [value.encode(), id_.hex.encode(), id_.bytes]


def _places(server: Trellis) -> Iterator[tuple[str, bytes]]:
    for (table,) in server.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        rows = server.rows(f'SELECT * FROM "{table}"')
        yield f"table {table}", b"\n".join(_plain(value) for row in rows for value in row)
    for path in sorted(server.data.rglob("*")):
        place = path.relative_to(server.data)
        if path.is_file():
            where = "journal of erasures" if "erasures" in place.parts else f"file {place.parts[0]}"
            yield where, str(place).encode() + b"\n" + path.read_bytes()
    for number, name in enumerate(("queue", "cache")):
        with closing(server.broker(number)) as broker:
            for key in broker.scan_iter(count=1000):
                yield f"broker {name}", key + b"\n" + _value(broker, key)


def _value(broker: Redis, key: bytes) -> bytes:
    """All that a key holds. Not as DUMP gives it: that is compressed."""
    read: dict[str | bytes, Any] = {
        b"string": lambda: broker.get(key),
        b"list": lambda: broker.lrange(key, 0, -1),
        b"set": lambda: broker.smembers(key),
        b"zset": lambda: broker.zrange(key, 0, -1),
        b"hash": lambda: broker.hgetall(key),
        b"stream": lambda: broker.xrange(key),
        b"none": lambda: b"",  # it has expired meanwhile
    }
    return _plain(read[broker.type(key)]())


def _plain(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        value = [part for item in value.items() for part in item]
    if isinstance(value, (list, tuple, set)):
        return b"\n".join(map(_plain, value))
    return str(value).encode()
