"""The shared cache: `@cached` on a service function, and tags that a unit of work invalidates."""

from __future__ import annotations

from trellis.cache.function import cached
from trellis.cache.shared import init_cache, invalidate

__all__ = ["cached", "init_cache", "invalidate"]
