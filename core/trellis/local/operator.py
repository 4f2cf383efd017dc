"""The first operator of a laptop, whose password is made at the first start."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from trellis.contracts import Identity

OPERATOR = "operator@trellis.local"


def password_file(data_dir: Path) -> Path:
    """Where the password is kept."""
    return data_dir / "operator-password"


def ensure_operator(identity: Identity, data_dir: Path) -> None:
    """Make the operator unless it is there; a start that was cut short is made good."""
    path = password_file(data_dir)
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secrets.token_urlsafe(18)}\n")
    identity.ensure_operator(OPERATOR, path.read_text().strip())
