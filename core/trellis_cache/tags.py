"""Tags as Redis, the feed and other processes know them: nobody reads there whom one names."""

from __future__ import annotations

import hashlib
from functools import lru_cache

_EVERYTHING = "*"


@lru_cache(maxsize=10_000)
def digest_of(tag: str) -> str:
    """What stands for the tag ``<plugin>.<name>`` outside this process."""
    if tag.endswith(f".{_EVERYTHING}"):
        return tag
    return hashlib.blake2b(tag.encode(), digest_size=12).hexdigest()


def everything_of(scope: str) -> str:
    """The tag of all that a scope keeps. Nothing lists their keys: there may be millions."""
    return f"{scope}.{_EVERYTHING}"


def lists_keys(digest: str) -> bool:
    """Whether the keys that carry this tag are listed, and deleted with it."""
    return not digest.endswith(_EVERYTHING)
