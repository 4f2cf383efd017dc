"""The core of Trellis, a self-hosted backend for mobile apps; all that users see is a plugin."""

from __future__ import annotations

__version__ = "0.1.0"
