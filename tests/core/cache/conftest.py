"""Several processes' applications over one database and one broker, in this one process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from tests.processes import until

from trellis.app import create_app
from trellis.cache import shared
from trellis.cache.shared import SharedCache, current_cache
from trellis.db.base import db
from trellis.unit_of_work import unit_of_work
from trellis_cache.first_level import HEARD_SECONDS
from trellis_cache.tags import digest_of


class Node:
    """An application as a process of its own has it, and a value that it reads through its cache.

    The value is what `written` holds, which stands for a row that all share.
    """

    def __init__(self, app: Flask, written: dict[str, Any]) -> None:
        self.app = app
        self.written = written
        self.computed = 0
        self.while_computing: Callable[[], None] = lambda: None
        with app.app_context():
            self.cache: SharedCache = current_cache()

    def read(self, name: str = "a", *, seconds: float = 60, stale: float = 0) -> Any:
        """In a request, as a client causes it."""

        def compute() -> Any:
            self.computed += 1
            value = self.written.get(name)
            self.while_computing()
            return value

        with self.app.test_request_context("/"):
            tags = [digest_of(f"core.{name}")]
            return self.cache.fetch("core", f"key:{name}", tags, seconds, compute, stale)

    def write(self, value: Any, name: str = "a", *, everywhere: bool = False) -> None:
        """Commit it, and what follows from that."""
        with self.app.app_context(), unit_of_work() as uow:
            uow.invalidate(f"core.{name}", everywhere=everywhere)
            uow.after_commit(lambda: None)
            self.written[name] = value

    def until_on(self) -> None:
        """Until it keeps values for itself."""
        self.read()
        until(lambda: self.cache.first.is_on, "a first level that is on")

    @property
    def kept(self) -> Any:
        """What it would give without asking anybody."""
        found = self.cache.first.get("key:a")
        return None if found is None else json.loads(found)


@pytest.fixture
def start(
    app_environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Node]]:
    """Starts one more application."""
    monkeypatch.setenv("TRELLIS_CACHE_LOCAL_BYTES", "1000000")
    # On a machine that is busy with tests an answer takes longer than a write waits in life.
    monkeypatch.setattr(shared, "_ANSWERS_SECONDS", HEARD_SECONDS)
    written: dict[str, Any] = {}
    with ExitStack() as stack:

        def start() -> Node:
            node = Node(create_app(), written)
            stack.callback(_end, node)
            return node

        yield start


def _end(node: Node) -> None:
    node.app.extensions["trellis"].announcer.settle()
    node.cache.follow.__self__.end()  # type: ignore[attr-defined]
    with node.app.app_context():
        db.engine.dispose()


@pytest.fixture
def nodes(start: Callable[[], Node]) -> tuple[Node, Node]:
    """Two, which keep values."""
    one, other = start(), start()
    for node in (one, other):
        node.until_on()
    return one, other
