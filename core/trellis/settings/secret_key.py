"""The key that a development installation makes for itself, once, and keeps beside its data."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr


def development_secret(data_dir: Path) -> SecretStr:
    """The key in `data_dir/secret_key` (mode 0600), made now if there is none. Raises OSError.

    Several processes may start at once. The key is written to a file of this process's own and
    then linked to its name: the link fails when the name is taken, and nobody reads half a key.
    """
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = data_dir / f".secret_key.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first: its key is the key
                os.link(draft, path)
        finally:
            draft.unlink()
    return SecretStr(path.read_text().strip())
