"""The one error of backups: a sentence for whoever runs the command."""

from __future__ import annotations

from trellis.errors import StartError


class BackupError(StartError):
    """What was asked cannot be done, or what a set holds is not what was put there."""
