"""The one error of backups: a sentence for whoever runs the command."""

from __future__ import annotations


class BackupError(Exception):
    """What was asked cannot be done, or what a set holds is not what was put there."""
