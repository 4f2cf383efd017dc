"""`@cached`: a service function whose answers are kept, in the scope of its own plugin."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import trellis
from trellis.cache.shared import current_cache
from trellis.runtime import runtime
from trellis_cache.backend import LONGEST_SECONDS
from trellis_cache.tags import digest_of

P = ParamSpec("P")
R = TypeVar("R")


def cached(
    *, tags: Callable[..., Iterable[str]], seconds: int, stale: int = 0
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep a service function's answers for `seconds`, or until one of its tags is invalidated.

    Of all who ask at once for what is not kept, one computes it and the others wait. For `stale`
    seconds more they get what was kept instead; what was invalidated nobody gets.

    `tags` is called with the function's arguments by name and gives the tags that `uow.invalidate`
    uses, each beginning with the plugin's name: `media.asset:<id>`. A function that reads personal
    data carries a tag of that person, which erasure invalidates, and takes the person's id, because
    only arguments tell two answers apart. Answers are JSON values, and the same whether kept or
    computed: a tuple comes back as a list. Raises ValueError for another plugin's tag.

    Inside a unit of work that has begun the cache is passed by: that may never be committed.
    """
    if not (seconds > 0 and stale >= 0 and seconds + stale <= LONGEST_SECONDS):
        raise ValueError(f"seconds must be 1 to {LONGEST_SECONDS}, those for the stale included")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            if _unit_has_begun():
                return function(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            scope, release = owner(function.__module__)
            own_tags = own(scope, tags(**bound.arguments))
            name = f"{function.__module__}.{function.__qualname__}"
            key = key_of(release, scope, name, _digest(bound.arguments))
            compute = functools.partial(function, *args, **kwargs)
            return current_cache().fetch(scope, key, own_tags, seconds, compute, stale)

        return answer

    return decorate


def own(scope: str, tags: Iterable[str]) -> list[str]:
    """The digests of tags. Raises ValueError for one of another scope."""
    chosen = sorted(set(tags))
    if foreign := [tag for tag in chosen if not tag.startswith(f"{scope}.")]:
        raise ValueError(f"tag {foreign[0]!r} does not begin with {scope + '.'!r}")
    return [digest_of(tag) for tag in chosen]


def key_of(release: str, scope: str, name: str, arguments: str) -> str:
    """Where an answer is kept."""
    return f"trellis:{release}:{scope}:{name}:{arguments}"


def _unit_has_begun() -> bool:
    from trellis.db.transaction import begun_transaction  # which imports this package

    return begun_transaction() is not None


def owner(module: str) -> tuple[str, str]:
    """The plugin whose package holds the module, and its version; raises LookupError."""
    for plugin in runtime().plugins.values():
        if module == plugin.package or module.startswith(f"{plugin.package}."):
            return plugin.name, plugin.version
    if module.startswith("trellis."):
        return "core", trellis.__version__
    raise LookupError(f"{module} belongs to no plugin of the running app")


def _digest(arguments: Mapping[str, Any]) -> str:
    text = json.dumps(arguments, sort_keys=True, default=_argument)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _argument(value: Any) -> Any:
    if isinstance(value, UUID | datetime | date | time | Decimal):
        return [type(value).__name__, str(value)]
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"an argument of type {type(value).__name__} cannot be part of a cache key")
