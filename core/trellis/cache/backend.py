"""What Flask-Caching's Redis backend lacks: tags, whose invalidation no late writer can undo.

A tag has a version, a random token, and the set of the keys that carry it. A value is kept together
with the versions that its tags had before it was computed. It counts while they are still the
same, and it is stored only then; invalidating a tag deletes its version and its keys, and the next
reader gives it a new version. So of a tag that names a person nothing is left after its last use.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cachelib.serializers import JSONSerializer
from flask_caching.backends.rediscache import RedisCache
from redis import Redis

LONGEST_SECONDS = 3600
"""How long a value may be kept, and so how old an answer can be if all else fails."""

# A version that is lost only costs a miss; it lives longer than any value that was stored under it.
_TAG_SECONDS = 2 * LONGEST_SECONDS

# KEYS: the value, then each tag's version, then each tag's keys.
_STORE = """
local tags = (#KEYS - 1) / 2
for i = 1, tags do
  if redis.call('GET', KEYS[1 + i]) ~= ARGV[3 + i] then return 0 end
end
local now = tonumber(redis.call('TIME')[1])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for i = 1, tags do
  local members = KEYS[1 + tags + i]
  redis.call('ZREMRANGEBYSCORE', members, '-inf', now)
  redis.call('ZADD', members, now + ARGV[2], KEYS[1])
  redis.call('EXPIRE', members, ARGV[3])
  redis.call('EXPIRE', KEYS[1 + i], ARGV[3])
end
return 1
"""

# KEYS: each tag's version, then each tag's keys.
_INVALIDATE = """
local tags = #KEYS / 2
for i = 1, tags do
  redis.call('DEL', KEYS[i])
  for _, key in ipairs(redis.call('ZRANGE', KEYS[tags + i], 0, -1)) do
    redis.call('UNLINK', key)
  end
  redis.call('DEL', KEYS[tags + i])
end
"""


class StrictJson(JSONSerializer):
    """JSON that raises for what is not JSON instead of storing nothing; never pickle."""

    def dumps(self, value: Any, *_args: Any, **_options: Any) -> bytes:
        """Encode. Raises TypeError or ValueError."""
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()

    def loads(self, bvalue: Any, *_args: Any, **_options: Any) -> Any:
        """Decode; a miss stays None."""
        return None if bvalue is None else json.loads(bvalue)


@dataclass(frozen=True)
class Lookup:
    """The encoded value, None for a miss, and the versions under which a new one may be kept."""

    encoded: bytes | None
    versions: list[bytes]


class TaggedRedisCache(RedisCache):
    """Flask-Caching's Redis backend with tagged values. Every method raises redis.RedisError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._redis: Redis = self._write_client
        self._store = self._redis.register_script(_STORE)
        self._invalidate = self._redis.register_script(_INVALIDATE)

    def lookup(self, key: str, tags: Sequence[str]) -> Lookup:
        """One round trip; a second one when a tag has no version yet."""
        found: list[Any] = self._redis.mget([key, *map(_version_key, tags)])
        value: bytes | None = found[0]
        versions: list[bytes] = self._give_versions(tags) if None in found[1:] else found[1:]
        if value is not None:
            kept_under, _, encoded = value.partition(b"\n")
            if kept_under == b",".join(versions):
                return Lookup(encoded, versions)
        return Lookup(None, versions)

    def store(
        self, key: str, encoded: bytes, tags: Sequence[str], versions: Sequence[bytes], seconds: int
    ) -> bool:
        """Keep a value unless one of its tags was invalidated since `versions` were read."""
        kept = self._store(
            keys=[key, *map(_version_key, tags), *map(_members_key, tags)],
            args=[b",".join(versions) + b"\n" + encoded, seconds, _TAG_SECONDS, *versions],
        )
        return bool(kept)

    def invalidate(self, tags: Sequence[str]) -> None:
        """Delete every value that carries one of the tags, and outdate those being computed."""
        self._invalidate(keys=[*map(_version_key, tags), *map(_members_key, tags)])

    def _give_versions(self, tags: Sequence[str]) -> list[bytes]:
        pipeline = self._redis.pipeline(transaction=False)
        for tag in tags:
            version = secrets.token_hex(8).encode()
            pipeline.set(_version_key(tag), version, nx=True, ex=_TAG_SECONDS)
        pipeline.mget([_version_key(tag) for tag in tags])
        versions: list[bytes] = pipeline.execute()[-1]
        return versions


def _version_key(tag: str) -> str:
    return f"trellis:tag:{tag}"


def _members_key(tag: str) -> str:
    return f"trellis:keys:{tag}"
