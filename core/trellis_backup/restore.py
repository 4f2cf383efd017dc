"""Putting a set back, in steps that may be cut off anywhere and run again.

Until the last step the core has tables and no revision: so nothing serves, and another restore
knows that what is there was not finished.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import cast

from sqlalchemy import MetaData, inspect, text
from sqlalchemy.engine import Connection

from trellis.contracts import BlobStore, port
from trellis.db import migrations
from trellis.db.base import db
from trellis.db.secret import key_fingerprints
from trellis.privacy import journal
from trellis.privacy.journal import Note
from trellis.storage import ObjectStorage
from trellis.storage.mark import FOLDER, adopt
from trellis_backup import aftermath, journal_copy, loading, objects, revisions
from trellis_backup.errors import BackupError
from trellis_backup.inventory import Inventory
from trellis_backup.manifest import Manifest
from trellis_backup.snapshot import VERSIONS, owned_tables
from trellis_backup.target import Target, told

_LEAVING_SECONDS = 2.0


@dataclass(frozen=True)
class Restored:
    """What a restore did beside putting things back."""

    manifest: Manifest
    sessions_ended: int
    erased_again: int
    unfinished: list[str]
    """Plugins that could not erase at once; their tasks go on when the service runs."""
    cache_cleared: bool


def restore(target: Target, found: Manifest, *, replace: bool = False) -> Restored:
    """Make database and storage what they were.

    With ``replace`` what is there is lost, except for the journal of erasures. Raises BackupError
    before anything is changed, also for a set that is not whole: all that is needed of it is read
    twice.
    """
    storage = cast("ObjectStorage", port(BlobStore))
    db.engine.dispose()
    with migrations.locked() as connection, Inventory() as wanted:
        _check(connection, found)
        _refuse_while_used(connection)
        if not replace and not migrations.is_half_restored(connection):
            _refuse_what_is_there(connection, storage)
        _want(wanted, target, found, storage)
        _read_through(wanted, target, found)
        notes = _remembered(target, storage, connection)
        revision = _empty(connection, found)
        _objects(wanted, target, storage)
        loading.load(connection, target, found)
        revision = _to_head(connection, revision)
        adopt(storage)
        aftermath.move_on()
        ended = aftermath.end_sessions()
        again, unfinished = aftermath.erase_again(notes)
        _give_revision(connection, revision)
        connection.commit()
    return Restored(found, ended, again, unfinished, aftermath.forget_cached())


def _check(connection: Connection, found: Manifest) -> None:
    """Raise BackupError unless this installation can take the set."""
    owners = migrations.owners()
    if missing := sorted(set(found.revisions) - set(owners)):
        raise BackupError(f"set {found.id} has tables of {', '.join(missing)}: install that first.")
    if unknown := revisions.unknown(connection, found.revisions):
        raise BackupError(
            f"set {found.id} was made by a newer version of {', '.join(unknown)}: "
            f"install Trellis {found.trellis} or later, and the plugins that it had."
        )
    if lost := [key for key in found.secret_keys if key not in key_fingerprints()]:
        raise BackupError(
            "secret_keys: the secrets in this set need the key with fingerprint "
            f"{', '.join(lost)}; this installation has {', '.join(key_fingerprints())}."
        )


def _others(connection: Connection) -> int:
    others: int = connection.execute(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'trellis' AND pid <> pg_backend_pid()"
        )
    ).scalar_one()
    connection.rollback()
    return others


def _refuse_while_used(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # The last connection alone can leave the mode in which there may be several.
        driver = connection.connection.driver_connection
        assert driver is not None
        (patience,) = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute("PRAGMA busy_timeout = 0")
        try:
            driver.execute("PRAGMA journal_mode = DELETE")
        except Exception as error:
            raise BackupError("the database is in use: stop Trellis first.") from error
        finally:
            driver.execute("PRAGMA journal_mode = WAL")
            driver.execute(f"PRAGMA busy_timeout = {patience}")
        return
    # What has just ended is seen for a moment yet.
    until = time.monotonic() + _LEAVING_SECONDS
    while (others := _others(connection)) and time.monotonic() < until:
        time.sleep(_LEAVING_SECONDS / 20)
    if others:
        raise BackupError(
            f"{others} connection(s) of Trellis to this database are open: stop it first."
        )


def _refuse_what_is_there(connection: Connection, storage: ObjectStorage) -> None:
    tables = owned_tables(connection)
    connection.rollback()
    if tables:
        raise BackupError("the database is not empty: --replace would replace what it holds.")
    with told("the object storage cannot be listed"):
        if any(not entry.key.startswith(FOLDER) for entry in storage.entries()):
            raise BackupError("the storage is not empty: --replace would replace what it holds.")


def _remembered(target: Target, storage: ObjectStorage, connection: Connection) -> list[Note]:
    """Every erasure that is known of, noted where nothing of this restore touches it."""
    if inspect(connection).has_table("core_erasure"):
        connection.rollback()
        for note in journal.open_erasures():
            journal.keep(storage, note)
    connection.rollback()
    there = {note.erasure_id: note for note in journal.notes(storage)}
    for note in journal_copy.of_target(target):
        if note.erasure_id not in there:
            journal.keep(storage, note)
            there[note.erasure_id] = note
    return list(there.values())


def _empty(connection: Connection, found: Manifest) -> str:
    """Have the tables of the set's revisions, empty, and the core's revision taken away."""
    metadata = MetaData()
    versions = [f"{owner}{VERSIONS}" for owner in migrations.owners()]
    names = [table.name for table in owned_tables(connection)] + versions
    metadata.reflect(connection, only=lambda name, _: name in names)
    metadata.drop_all(connection)
    revisions.build(connection, found.revisions)
    revision = _take_revision(connection)
    connection.commit()
    return revision


def _to_head(connection: Connection, revision: str) -> str:
    _give_revision(connection, revision)
    revisions.build(connection, dict.fromkeys(migrations.owners(), "head"))
    revision = _take_revision(connection)
    connection.commit()
    return revision


def _take_revision(connection: Connection) -> str:
    taken = connection.execute(
        text(f"DELETE FROM core{VERSIONS} RETURNING version_num")  # noqa: S608
    ).scalar_one()
    return str(taken)


def _give_revision(connection: Connection, revision: str) -> None:
    connection.execute(
        text(f"INSERT INTO core{VERSIONS} VALUES (:revision)"),  # noqa: S608
        {"revision": revision},
    )


def _want(wanted: Inventory, target: Target, found: Manifest, storage: ObjectStorage) -> None:
    """Know the set's objects; those that the storage has as they should be are marked as seen."""
    for kept in objects.listed(target, found):
        wanted.add(kept)
    with told("the object storage cannot be read"):
        for entry in storage.entries():
            kept_or_none = wanted.find(entry.key)
            if kept_or_none is not None and objects.is_right(storage, kept_or_none):
                wanted.seen(entry.key, 1)


def _read_through(wanted: Inventory, target: Target, found: Manifest) -> None:
    """Raise BackupError unless everything that is to be put back can be read as it was written."""
    for facts in found.tables:
        deque(loading.lines(target, found, facts), maxlen=0)
    for kept in wanted.unseen(1):
        deque(objects.content(target, kept), maxlen=0)


def _objects(wanted: Inventory, target: Target, storage: ObjectStorage) -> None:
    """Have the set's objects in the storage, and no others; those that are right stay."""
    with told("the object storage cannot be written"):
        for entry in storage.entries():
            if not entry.key.startswith(FOLDER) and wanted.find(entry.key) is None:
                storage.delete(entry.key)
        for kept in wanted.unseen(1):
            with objects.spooled(objects.content(target, kept)) as pieces:
                storage.put(kept.key, pieces)
