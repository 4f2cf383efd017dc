"""Where a target is: a place apart from the storage of which it keeps copies."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trellis_backup.errors import BackupError


def absolute(text: str) -> str:
    """The address of a target that was given as a directory or as an address.

    A directory is told by its true path, without links. Raises BackupError for what is neither.
    """
    scheme, separator, rest = text.partition("://")
    if scheme == "s3" and rest and not rest.startswith("/"):
        return text
    if not separator:
        return Path(os.path.realpath(Path(text).expanduser())).as_uri()
    if scheme == "file" and rest.startswith("/"):
        return Path(os.path.realpath(_path(text))).as_uri()
    raise BackupError("a target is a directory, or an address with file:/// or s3://")


def directory(address: str) -> Path | None:
    """The directory of an address with ``file://``."""
    return _path(address) if address.startswith("file://") else None


def refuse_overlap(address: str, storage_url: str) -> None:
    """Raise BackupError when one place is the other, or lies in it.

    There each set would become part of the next one, and a restore would delete the sets: they are
    none of the objects that were there.
    """
    one, other = _segments(address), _segments(storage_url)
    shared = min(len(one), len(other))
    if one[:shared] == other[:shared]:
        raise BackupError(
            f"the target {address} and the object storage {storage_url} lie one in the other: "
            "give a target apart from it."
        )


def _segments(address: str) -> tuple[str, ...]:
    """The way to a place. Targets in S3 are on the server of the storage, by the same settings."""
    if address.startswith("file://"):
        return Path(os.path.realpath(_path(address))).parts
    return "s3:", *filter(None, address.removeprefix("s3://").split("/"))


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))
