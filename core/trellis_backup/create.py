"""Making a set while the service runs.

The storage is listed before and after the database's snapshot is taken. An object that a row of the
snapshot tells of was stored before that row was committed, and is deleted only after the row is: so
it was there at that moment, and one of the two listings has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import BaseModel, SecretBytes, SecretStr

import trellis
from trellis.contracts import BlobStore, port
from trellis.db import migrations
from trellis.db.base import db
from trellis.db.secret import key_fingerprints
from trellis.runtime import runtime
from trellis.settings import LoadedSettings, describe
from trellis.settings.masking import without_secrets
from trellis.settings.sources import leaves, variable
from trellis.storage import ObjectStorage
from trellis_backup import journal_copy, manifest
from trellis_backup.errors import BackupError
from trellis_backup.manifest import Manifest, Table
from trellis_backup.objects import Collector
from trellis_backup.snapshot import Snapshot, snapshot
from trellis_backup.target import Digest, Target, file_name

_ATTEMPTS = 5


@dataclass(frozen=True)
class Made:
    """A new set, and how many objects it took to the target."""

    manifest: Manifest
    copied: int


def create(target: Target, *, with_secrets: bool = False) -> Made:
    """Make a set of everything. Raises BackupError, and then there is no new set."""
    if with_secrets and target.sealer is None:
        raise BackupError("secrets go into a sealed set only: set TRELLIS_BACKUP_KEY.")
    target.refuse_other_key()
    revisions = _revisions()
    storage = cast("ObjectStorage", port(BlobStore))
    collector = Collector(storage, target)
    collector.know_earlier()
    collector.copy_all()
    for _ in range(_ATTEMPTS):
        collector.copy_all()
        with snapshot() as taken:
            if collector.copy_new():
                made = _written(target, taken, collector, revisions, with_secrets=with_secrets)
                journal_copy.to_target(target, storage)
                manifest.write(target, made)
                return Made(made, collector.copied)
    raise BackupError(
        f"objects were deleted during each of {_ATTEMPTS} attempts; try again when less goes on."
    )


def _revisions() -> dict[str, str]:
    with db.engine.connect() as connection:
        migrations.refuse_half_restored(connection)
    statuses = migrations.status()
    if pending := [status.owner for status in statuses if status.pending]:
        raise BackupError(
            f"the database is not at the installed version of {', '.join(pending)}: "
            "run `trellis db upgrade` first."
        )
    return {status.owner: str(status.current) for status in statuses}


def _written(
    target: Target,
    taken: Snapshot,
    collector: Collector,
    revisions: dict[str, str],
    *,
    with_secrets: bool,
) -> Manifest:
    set_id = manifest.new_id()
    tables = []
    for table in taken.tables():
        rows = Digest(taken.rows(table))
        target.write(file_name(set_id, f"tables/{table.name}"), rows)
        tables.append(
            Table(
                name=table.name,
                columns=[column.name for column in table.columns],
                rows=rows.lines,
                counter=taken.counter(table),
                size=rows.size,
                sha256=rows.sha256,
            )
        )
    loaded = runtime()
    return Manifest(
        format=manifest.FORMAT,
        id=set_id,
        trellis=trellis.__version__,
        made_at=datetime.now(UTC),
        point=taken.point,
        dialect=db.engine.dialect.name,
        feed_position=taken.feed_position,
        plugins={plugin.name: plugin.version for plugin in loaded.plugins.values()},
        revisions=revisions,
        left_out=taken.left_out(),
        tables=tables,
        objects=collector.write_list(set_id),
        settings=[(row.key, row.value, row.source) for row in describe(loaded.settings)],
        secret_keys=key_fingerprints(),
        secrets=_secrets(loaded.settings) if with_secrets else None,
    )


def _secrets(settings: LoadedSettings) -> dict[str, str]:
    """The variables that would give the settings their secrets, passwords in addresses included."""
    sections: list[tuple[str, BaseModel]] = [("", settings.core)]
    sections += [(f"{name}.", section) for name, section in settings.plugins.items()]
    found = {}
    for prefix, section in sections:
        for key, _ in leaves(type(section)):
            value: Any = section
            for name in key.split("."):
                value = getattr(value, name)
            plain = _plain(value)
            if value is not None and str(without_secrets(value)) != str(plain):
                text = ",".join(plain) if isinstance(plain, list) else str(plain)
                found[variable(prefix + key)] = text
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return value.get_secret_value()
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
