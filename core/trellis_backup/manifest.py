"""What a set says of itself; written last, so that a set without it is none."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from trellis_backup.errors import BackupError
from trellis_backup.target import MANIFEST, Target, file_name

FORMAT = 1


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Facts):
    """A file of the set, as it was before it was sealed."""

    size: int
    sha256: str


class Table(File):
    """A table's rows, each a line; ``counter`` is the last number that its sequence gave."""

    name: str
    columns: list[str]
    rows: int
    counter: int | None


class Objects(File):
    """The list of objects: how many, and their bytes together."""

    count: int
    total: int


class Manifest(_Facts):
    """Everything that the database had acknowledged before ``point`` is in the set."""

    format: int
    id: str
    trellis: str
    made_at: datetime
    point: datetime
    """By the database's clock."""
    dialect: str
    feed_position: int
    plugins: dict[str, str]
    revisions: dict[str, str]
    """Owner of tables to its Alembic revision."""
    left_out: list[str]
    """Owners whose tables are in the database and not in the set: plugins that are switched off."""
    tables: list[Table]
    objects: Objects
    settings: list[tuple[str, str, str]]
    """Key, value without secrets, and source."""
    secret_keys: list[str]
    """Fingerprints of the keys that open the secrets in the database."""
    secrets: dict[str, str] | None
    """Variables that carry secrets; only in a sealed set, and when asked for."""


def new_id() -> str:
    """An id that sorts by the time at which it was made."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"


def write(target: Target, manifest: Manifest) -> None:
    """Make the set a set."""
    text = manifest.model_dump_json(indent=1)
    target.write(file_name(manifest.id, MANIFEST), iter([text.encode()]))


def read(target: Target, set_id: str) -> Manifest:
    """What a set says of itself. Raises BackupError."""
    name = file_name(set_id, MANIFEST)
    text = b"".join(target.read(name))
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise BackupError(f"{name} is no manifest that this Trellis reads.") from None
    if manifest.id != set_id or manifest.format != FORMAT:
        raise BackupError(f"{name} is the manifest of another set, or of another format.")
    return manifest


def set_ids(target: Target) -> list[str]:
    """The ids of all sets, the oldest first. Raises BackupError when there is none."""
    known = target.sets()
    if not known:
        raise BackupError(f"There is no set in {target.address}.")
    return known


def chosen(target: Target, set_id: str | None) -> Manifest:
    """The manifest of a set, of the newest one when none is named. Raises BackupError."""
    known = set_ids(target)
    if set_id is not None and set_id not in known:
        raise BackupError(f"There is no set {set_id} in {target.address}.")
    return read(target, set_id or known[-1])


def manifests(target: Target) -> Iterator[tuple[str, Manifest | BackupError]]:
    """Each set's id and manifest, the oldest first, or why it cannot be read."""
    for set_id in target.sets():
        try:
            yield set_id, read(target, set_id)
        except BackupError as error:
            yield set_id, error
