"""Which objects there are: a scratch table on disk, so that millions of them need no memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Kept(NamedTuple):
    """An object in a set. ``version`` is what the storage's listing said when it was copied."""

    key: str
    size: int
    version: str
    sha256: str


class Inventory:
    """Objects by key. It is gone with this process."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.execute(
            "CREATE TABLE object (key TEXT PRIMARY KEY, size, version, sha256, round) WITHOUT ROWID"
        )

    def __enter__(self) -> Inventory:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def add(self, kept: Kept, round_: int = 0) -> None:
        """Note an object, in the place of an earlier version."""
        self._table.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)", (*kept, round_))

    def find(self, key: str) -> Kept | None:
        """The object of that key."""
        row = self._table.execute(
            "SELECT key, size, version, sha256 FROM object WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else Kept(*row)

    def seen(self, key: str, round_: int) -> None:
        """Note that an object was listed in this round."""
        self._table.execute("UPDATE object SET round = ? WHERE key = ?", (round_, key))

    def unseen(self, round_: int) -> Iterator[Kept]:
        """What was not listed in this round."""
        rows = self._table.execute(
            "SELECT key, size, version, sha256 FROM object WHERE round < ?", (round_,)
        )
        return (Kept(*row) for row in rows)

    def forget_unseen(self, round_: int) -> None:
        """Drop what was not listed in this round."""
        self._table.execute("DELETE FROM object WHERE round < ?", (round_,))

    def __iter__(self) -> Iterator[Kept]:
        rows = self._table.execute("SELECT key, size, version, sha256 FROM object ORDER BY key")
        return (Kept(*row) for row in rows)

    def contents(self) -> Iterator[tuple[Kept, int]]:
        """Each content once: the first object that has it, and how many have it."""
        rows = self._table.execute(
            "SELECT min(key), size, version, sha256, count(*) FROM object"
            " GROUP BY sha256, size ORDER BY min(key)"
        )
        return ((Kept(*row[:4]), row[4]) for row in rows)

    def totals(self) -> tuple[int, int]:
        """How many objects, and their bytes together."""
        count, total = self._table.execute("SELECT count(*), total(size) FROM object").fetchone()
        return count, int(total)


def written(objects: Iterable[Kept]) -> Iterator[bytes]:
    """A set's list of objects: a line of JSON for each."""
    for kept in objects:
        yield json.dumps(kept).encode() + b"\n"


def parsed(pieces: Iterable[bytes]) -> Iterator[Kept]:
    """The objects of a set's list. Raises ValueError or TypeError."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (Kept(*json.loads(line)) for line in lines)
