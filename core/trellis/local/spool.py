"""A directory of small files, each written whole or not at all, of which the newest are kept."""

from __future__ import annotations

import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

_ID = re.compile(r"\d{20}-[0-9a-f]{8}")  # nanoseconds of the epoch, and what makes it unique
_UNFINISHED = ".part"
_ABANDONED_AFTER = 60  # seconds; nobody writes one small file for so long


class Spool:
    """Files named by the time of their writing; many processes may write and read at once."""

    def __init__(self, directory: Path, suffix: str, keep: int) -> None:
        self._directory = directory
        self._suffix = suffix
        self._keep = keep

    def put(self, content: bytes) -> None:
        """Store `content`, and drop the oldest files when there are more than are to be kept."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        unfinished = self._directory / (entry + _UNFINISHED)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self._path(entry))
        self._sync()
        for old in self.ids()[self._keep :]:
            self._path(old).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """The ids of all files, newest first."""
        names = (path.name.removesuffix(self._suffix) for path in self._files(self._suffix))
        return sorted(filter(_ID.fullmatch, names), reverse=True)

    def read(self, entry: str) -> bytes | None:
        """The content of the file with the id `entry`; None when there is none (any more)."""
        if not _ID.fullmatch(entry):
            return None
        try:
            return self._path(entry).read_bytes()
        except FileNotFoundError:
            return None

    def erase(self, entries: list[str]) -> int:
        """Remove these files, and what writers that were killed have left; how many there were."""
        for entry in entries:
            self._path(entry).unlink(missing_ok=True)
        for unfinished in self._files(_UNFINISHED):
            age = datetime.now(UTC) - created_at(unfinished.name)
            if age.total_seconds() > _ABANDONED_AFTER:
                unfinished.unlink(missing_ok=True)
        if entries:
            self._sync()
        return len(entries)

    def _path(self, entry: str) -> Path:
        return self._directory / (entry + self._suffix)

    def _files(self, suffix: str) -> list[Path]:
        return list(self._directory.glob(f"*{suffix}"))

    def _sync(self) -> None:
        """Make the names of the files as durable as their contents."""
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def created_at(entry: str) -> datetime:
    """When the file with this id was written, in UTC."""
    return datetime.fromtimestamp(int(entry.partition("-")[0]) / 1e9, UTC)
