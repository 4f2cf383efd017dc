"""The shared cache: `@cached` on a service function, and tags that a unit of work invalidates."""

from __future__ import annotations

from trellis.cache.function import cached
from trellis.cache.shared import current_cache, init_cache

__all__ = ["cached", "current_cache", "init_cache"]
