"""The small core of Trellis, a self-hosted backend for mobile apps: everything a user sees is a plugin."""

from __future__ import annotations

__version__ = "0.1.0"
