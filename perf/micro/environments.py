"""An application on either kind of database, durable as in production, gone after the block."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trellis.testing.databases import on_postgresql, on_sqlite
from trellis.testing.environment import Environment
from trellis.testing.postgresql import DURABLE, PostgreSQL

_KINDS = ("sqlite", "postgresql")


def add_kinds(parser: ArgumentParser) -> None:
    """Let ``--on`` choose kinds of databases; all by default."""
    parser.add_argument("--on", nargs="+", choices=_KINDS, default=_KINDS)


@contextmanager
def environment_on(kind: str, settings: str = "") -> Iterator[Environment]:
    """An environment of its own; ``settings`` are the text of its ``trellis.toml``."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "trellis.toml").write_text(settings)
        if kind == "postgresql":
            server = PostgreSQL(DURABLE)
            stack.callback(server.close)
            server.start()
            database = stack.enter_context(on_postgresql(server.url()))
        else:
            database = stack.enter_context(on_sqlite(directory))
        yield stack.enter_context(Environment.started(directory, database))
