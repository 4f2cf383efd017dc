"""The first operator of a laptop, whose password is made at the first start."""

from __future__ import annotations

from pathlib import Path

from trellis.contracts import Identity
from trellis.settings.secret_key import kept_secret

OPERATOR = "operator@trellis.local"


def password_file(data_dir: Path) -> Path:
    """Where the password is kept."""
    return data_dir / "operator-password"


def ensure_operator(identity: Identity, data_dir: Path) -> None:
    """Make the operator unless it is there; a start that was cut short is made good."""
    identity.ensure_operator(OPERATOR, kept_secret(password_file(data_dir)))
