"""A start makes no query: a slow or absent database must not stop a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from trellis.loader.faults import PluginFaultError


@contextmanager
def no_queries(engine: Engine) -> Iterator[None]:
    """Make a query fail where it is made, so that the fault is its plugin's."""

    def refuse(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        raise PluginFaultError(f"made a query during the start: {statement.split(maxsplit=1)[0]} …")

    event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", refuse)
