"""What Flask-Caching's Redis backend lacks: tags, whose invalidation no late writer can undo.

A tag has a version, a random token, and the set of the keys that carry it. A value is kept together
with the versions that its tags had before it was computed. It counts while they are still the
same, and it is stored only then; invalidating a tag deletes its version and its keys, and the next
reader gives it a new version. So of a tag that names a person nothing is left after its last use.

Of all who miss one key, in whatever process, one is told to compute it; the others wait for that.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from cachelib.serializers import JSONSerializer
from flask_caching.backends.rediscache import RedisCache
from redis import Redis

from trellis_cache.tags import lists_keys

LONGEST_SECONDS = 3600
"""How long a value may be kept, and so how old an answer can be if all else fails."""
CHANNEL = "trellis:cache"
"""Every process that keeps values of its own listens here."""

# A version that is lost only costs a miss; it lives longer than any value that was stored under it.
_TAG_SECONDS = 2 * LONGEST_SECONDS
# How long it is known of an invalidation that Redis has had it.
_KNOWN_SECONDS = 600
# Whoever computes for so long, or has died, is no longer waited for.
_COMPUTING_MS = 5000
_PAGE = 500
_WATERMARK = "trellis:cache:position"
_KEEPERS = "trellis:cache:keepers"

# KEYS: the value, who computes it, then each tag's version.
# ARGV: a token of the asker, milliseconds for the stale; then each tag's version if it has none.
_LOOKUP = f"""
local versions = {{}}
for i = 3, #KEYS do
  local version = redis.call('GET', KEYS[i])
  if not version then
    version = ARGV[i]
    redis.call('SET', KEYS[i], version, 'EX', {_TAG_SECONDS})
  end
  versions[i - 2] = version
end
local under = table.concat(versions, ',')
local value = redis.call('GET', KEYS[1])
local fresh = 0
if value and string.sub(value, 1, #under + 1) == under .. '\\n' then
  value = string.sub(value, #under + 2)
  fresh = redis.call('PTTL', KEYS[1]) - ARGV[2]
else
  value = false
end
local computes = 0
if fresh <= 0 and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', {_COMPUTING_MS}) then
  computes = 1
end
return {{under, computes, fresh, value}}
"""

# KEYS: the value, who computes it, then each tag's version, then the keys of those that list them.
# ARGV: the token, the versions, the value, milliseconds for which it is kept, how many tags.
_STORE = f"""
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
local tags = tonumber(ARGV[5])
local versions = {{}}
for i = 1, tags do versions[i] = redis.call('GET', KEYS[2 + i]) or '' end
local under = table.concat(versions, ',')
if under ~= ARGV[2] then return 0 end
local now = tonumber(redis.call('TIME')[1])
redis.call('SET', KEYS[1], under .. '\\n' .. ARGV[3], 'PX', ARGV[4])
for i = 1, tags do redis.call('EXPIRE', KEYS[2 + i], {_TAG_SECONDS}) end
for i = 3 + tags, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  redis.call('ZADD', KEYS[i], now + ARGV[4] / 1000, KEYS[1])
  redis.call('EXPIRE', KEYS[i], {_TAG_SECONDS})
end
return 1
"""

# KEYS: what tells that this was done, who keeps values, then each tag's version, and its keys.
# ARGV: 1 to do it in any case, the message, the channel.
# Returns the names of those who may keep values of their own at this moment.
_INVALIDATE = f"""
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', {_KNOWN_SECONDS}) and ARGV[1] ~= '1' then
  return {{}}
end
local tags = (#KEYS - 2) / 2
for i = 1, tags do
  redis.call('DEL', KEYS[2 + i])
  for _, key in ipairs(redis.call('ZRANGE', KEYS[2 + tags + i], 0, -1)) do
    redis.call('UNLINK', key)
  end
  redis.call('DEL', KEYS[2 + tags + i])
end
if ARGV[1] ~= '1' then
  redis.call('HDEL', '{_WATERMARK}', 'life')
  return {{}}
end
redis.call('PUBLISH', ARGV[3], ARGV[2])
local now = redis.call('TIME')
local seconds = string.format('(%d.%06d', now[1], now[2])
return redis.call('ZRANGEBYSCORE', KEYS[2], seconds, 'inf')
"""

# KEYS: the watermark, who keeps values. ARGV: the position up to which the asker knows it to be,
# the new one, the asker's name, seconds for which it keeps values now, a name for a new life.
_ADVANCE = """
local noted = redis.call('HMGET', KEYS[1], 'position', 'life')
local known, life = tonumber(noted[1] or ARGV[1]), noted[2]
if known < tonumber(ARGV[1]) then
  redis.call('HDEL', KEYS[1], 'life')
  return {noted[1], ''}
end
if not life then
  life = ARGV[5]
  redis.call('HSET', KEYS[1], 'life', life)
end
redis.call('HSET', KEYS[1], 'position', string.format('%.0f', math.max(known, tonumber(ARGV[2]))))
local now = redis.call('TIME')
local seconds = now[1] + now[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', seconds))
redis.call('ZADD', KEYS[2], string.format('%.6f', seconds + ARGV[4]), ARGV[3])
return {string.format('%.0f', known), life}
"""

# KEYS: who keeps values.
_FORGET = """
local keepers = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
redis.call('FLUSHDB', 'ASYNC')
for i = 1, #keepers, 2 do redis.call('ZADD', KEYS[1], keepers[i + 1], keepers[i]) end
"""


class StrictJson(JSONSerializer):
    """JSON that raises for what is not JSON instead of storing nothing; never pickle."""

    def dumps(self, value: Any, *_args: Any, **_options: Any) -> bytes:
        """Encode. Raises TypeError or ValueError."""
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()

    def loads(self, bvalue: Any, *_args: Any, **_options: Any) -> Any:
        """Decode; a miss stays None."""
        return None if bvalue is None else json.loads(bvalue)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was found, and what may be kept."""

    encoded: bytes | None
    """The value, None for a miss."""
    fresh: float
    """Seconds for which it is good; not above 0 for one that is good only while it is made anew."""
    token: str | None
    """Of the one asker who is to compute it."""
    versions: bytes
    """Under which a new one may be kept."""


class TaggedRedisCache(RedisCache):
    """Flask-Caching's Redis backend with tagged values. Every method raises redis.RedisError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.redis: Redis = self._write_client
        self._scripts = [
            self.redis.register_script(script)
            for script in (_LOOKUP, _STORE, _INVALIDATE, _ADVANCE, _FORGET)
        ]

    def lookup(self, key: str, tags: Sequence[str], stale: float = 0) -> Lookup:
        """Ask for a value that was kept for `stale` seconds beyond those for which it is good."""
        token = secrets.token_hex(8)
        versions = [secrets.token_hex(8) for _ in tags]
        under, computes, fresh, value = self._scripts[0](
            keys=[key, _computing_key(key), *map(_version_key, tags)],
            args=[token, int(stale * 1000), *versions],
        )
        return Lookup(value, fresh / 1000, token if computes else None, under)

    def store(
        self, key: str, encoded: bytes, tags: Sequence[str], lookup: Lookup, seconds: float
    ) -> bool:
        """Keep a value unless one of its tags was invalidated since the lookup."""
        kept = self._scripts[1](
            keys=[
                key,
                _computing_key(key),
                *map(_version_key, tags),
                *map(_members_key, filter(lists_keys, tags)),
            ],
            args=[
                lookup.token or "",
                lookup.versions,
                encoded,
                int(seconds * 1000),
                len(tags),
            ],
        )
        return bool(kept)

    def give_up(self, key: str, lookup: Lookup) -> None:
        """Let another one compute it."""
        self.store(key, b"", (), replace(lookup, versions=b"none"), 0)

    def invalidate(self, tags: Sequence[str], event: str, message: bytes) -> set[str]:
        """Delete every value that carries one of the tags, and outdate those being computed.

        `message` goes to all processes that listen; returns the names of those that keep values.
        """
        return {name.decode() for name in self._invalidate(tags, event, 1, message)}

    def unknown(self, events: Sequence[str]) -> set[str]:
        """Those of some events of which Redis was never told, or does not know any more."""
        found = self.redis.mget([_done_key(event) for event in events]) if events else []
        return {event for event, done in zip(events, found, strict=True) if done is None}

    def repair(self, tags: Sequence[str], event: str) -> None:
        """Do what is unknown, once; a new life begins: nobody knows what was read until now."""
        self._invalidate(tags, event, 0, b"")

    def _invalidate(self, tags: Sequence[str], event: str, always: int, message: bytes) -> Any:
        return self._scripts[2](
            keys=[
                _done_key(event),
                _KEEPERS,
                *map(_version_key, tags),
                *map(_members_key, tags),
            ],
            args=[always, message, CHANNEL],
        )

    def advance(self, since: int, position: int, keeper: str, seconds: float) -> tuple[int, str]:
        """Note that all invalidations of the feed up to a position were done here.

        Also that the process of this name keeps values of its own for so many seconds. Returns the
        position that was noted before, and the name of the life that this Redis has. When that
        position is below `since`, as after a restart that has lost the last writes, nothing is
        noted: from there on they have to be done again. In a new life nothing counts that a process
        has kept from the last one.
        """
        known, life = self._scripts[3](
            keys=[_WATERMARK, _KEEPERS],
            args=[since, position, keeper, seconds, secrets.token_hex(8)],
        )
        return int(known), life.decode()

    def forget(self) -> None:
        """Delete everything but who keeps values."""
        self._scripts[4](keys=[_KEEPERS])

    def keepers(self) -> set[str]:
        """The names of the processes that keep values of their own."""
        seconds, micros = self.redis.time()
        found: Any = self.redis.zrangebyscore(_KEEPERS, f"({seconds}.{micros:06d}", "inf")
        return {name.decode() for name in found}

    def usage(self) -> dict[str, tuple[int, int]]:
        """How many values each scope has, and of how many bytes."""
        found: dict[str, tuple[int, int]] = {}
        for keys in _pages(self.redis.scan_iter("trellis:*:*:*:*", count=_PAGE)):
            sizes = self.redis.pipeline(transaction=False)
            for key in keys:
                sizes.strlen(key)
            for key, size in zip(keys, sizes.execute(), strict=True):
                scope = key.split(b":")[2].decode()
                values, total = found.get(scope, (0, 0))
                found[scope] = values + 1, total + size
        return found

    def delete_all(self, scope: str) -> int:
        """Delete the values of a scope, of all releases; returns how many there were."""
        pages = _pages(self.redis.scan_iter(f"trellis:*:{scope}:*:*", count=_PAGE))
        return sum(int(self.redis.unlink(*keys)) for keys in pages)

    def watermark(self) -> int | None:
        """The position that was noted last."""
        noted: Any = self.redis.hget(_WATERMARK, "position")
        return None if noted is None else int(noted)


def _computing_key(key: str) -> str:
    return f"{key}:computing"


def _pages(keys: Iterator[bytes]) -> Iterator[list[bytes]]:
    while page := list(islice(keys, _PAGE)):
        yield page


def _done_key(event: str) -> str:
    return f"trellis:done:{event}"


def _version_key(tag: str) -> str:
    return f"trellis:tag:{tag}"


def _members_key(tag: str) -> str:
    return f"trellis:keys:{tag}"
