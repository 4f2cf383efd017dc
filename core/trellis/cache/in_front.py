"""Caches in front of us: what a CDN may keep, by tags, and which it is told to forget.

Only tags of the kinds that plugins declare as ``public_tags`` are known there, and as digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trellis.runtime import runtime
from trellis_cache.tags import digest_of

# What a CDN that can be told to forget keeps at most.
_LONGEST_SECONDS = 365 * 24 * 3600
# As many as the strictest of those who sell this take in one call.
_MOST_TAGS = 30


def surrogate_headers(tags: Iterable[str], seconds: int = _LONGEST_SECONDS) -> Mapping[str, str]:
    """What lets a CDN keep a public answer until one of its tags is purged, or for so long.

    Nothing where no CDN is told of changes (`cdn_purge_url`), or where one of the tags is of a kind
    that is not known there. RFC 9213; the keys as Fastly, Varnish and others read them.
    """
    tags = list(tags)
    if not tags or _known(tags) != [digest_of(tag) for tag in tags]:
        return {}
    return {
        "CDN-Cache-Control": f"public, max-age={seconds}",
        "Surrogate-Key": " ".join(map(digest_of, tags)),
    }


def purges(tags: Iterable[str]) -> list[list[str]]:
    """What a CDN has to forget with these tags, a call each."""
    known = _known(tags)
    return [known[first : first + _MOST_TAGS] for first in range(0, len(known), _MOST_TAGS)]


def _known(tags: Iterable[str]) -> list[str]:
    """Digests of those tags that a CDN knows; none where there is no CDN."""
    current = runtime()
    known = [tag for tag in tags if tag.partition(":")[0] in current.public_tags]
    if not known or current.settings.core.cdn_purge_url is None:
        return []
    return [digest_of(tag) for tag in known]
