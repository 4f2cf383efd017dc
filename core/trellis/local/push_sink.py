"""The local push sink: shows what would have been pushed, as one JSON file for each push."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from trellis.local.spool import Spool, created_at


@dataclass(frozen=True)
class Push:
    """A push as it is shown: `push` is what was given to `PushSink.put`, as JSON has it."""

    id: str
    push: dict[str, Any]
    created_at: datetime

    @property
    def text(self) -> str:
        """All of it, for people to read."""
        return json.dumps(self.push, ensure_ascii=False, indent=2)

    def concerns(self, user_id: str) -> bool:
        """Whether it is for the user with this id."""
        return str(self.push.get("user_id")) == user_id


class PushSink:
    """The pushes in `directory`, of which the newest `keep` are kept."""

    def __init__(self, directory: Path, keep: int = 500) -> None:
        self._spool = Spool(directory, ".json", keep)

    def put(self, push: Mapping[str, object]) -> None:
        """Store a push, whose `user_id` says for whom it is; when this returns it is on the disk.

        What JSON does not know (ids, times) is stored as its text.
        """
        self._spool.put(json.dumps(dict(push), ensure_ascii=False, default=str).encode())

    def pushes(self, to: str | None = None, limit: int = 100) -> list[Push]:
        """The newest pushes, newest first; only those for the user id `to`, if given."""
        return list(islice((p for p in self._all() if to is None or p.concerns(to)), limit))

    def erase(self, person: str) -> int:
        """Remove all pushes for the user with this id; returns how many."""
        return self._spool.erase([push.id for push in self._all() if push.concerns(person)])

    def _all(self) -> Iterator[Push]:
        for push_id in self._spool.ids():
            if (content := self._spool.read(push_id)) is not None:
                yield Push(push_id, json.loads(content), created_at(push_id))
