"""The schema of a set: revisions that are older, or newer, than those of this code."""

from __future__ import annotations

from collections.abc import Mapping

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from trellis.db import migrations


def unknown(connection: Connection, revisions: Mapping[str, str]) -> list[str]:
    """The owners whose revision this code does not have."""
    found = []
    for owner, revision in revisions.items():
        script = ScriptDirectory.from_config(migrations.config(owner, connection))
        if revision not in {known.revision for known in script.walk_revisions()}:
            found.append(owner)
    return found


def build(connection: Connection, revisions: Mapping[str, str]) -> None:
    """Bring owners to their revisions in the transaction that the caller has begun.

    Raises alembic's CommandError for a revision that this code does not have.
    """
    for owner, revision in revisions.items():
        command.upgrade(migrations.config(owner, connection), revision)
