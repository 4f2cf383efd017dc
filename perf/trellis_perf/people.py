"""The made-up people of a load: who they are, handed from seeding to generator in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class People:
    """Accounts that share one password; the operator may read reports."""

    password: str
    operator: str
    emails: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Keep them in a file that only its owner reads."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> People:
        """Read what `write` kept."""
        kept = json.loads(path.read_text())
        return cls(kept["password"], kept["operator"], tuple(kept["emails"]))
