"""Where bytes lie that are too large for the database, and whether it is the right place."""

from __future__ import annotations

from trellis.storage.objects import Entry, ObjectStorage, core_storage

__all__ = ["Entry", "ObjectStorage", "core_storage"]
