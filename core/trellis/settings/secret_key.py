"""The key that a development installation makes for itself, once, and keeps beside its data."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr


def development_secret(data_dir: Path) -> SecretStr:
    """The key in `data_dir/secret_key`, made now if there is none. Raises OSError."""
    return SecretStr(kept_secret(data_dir / "secret_key"))


def kept_secret(path: Path) -> str:
    """The secret in a file (mode 0600), made at random if there is none. Raises OSError.

    Several processes may start at once. It is written to a file of this process's own and then
    linked to its name: the link fails when the name is taken, and nobody reads half a secret.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first: its secret is the one
                os.link(draft, path)
        finally:
            draft.unlink()
    return path.read_text().strip()
