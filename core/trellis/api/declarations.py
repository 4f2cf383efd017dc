"""What decorators state about a view, kept on the view itself, so that their order does not matter.

flask-smorest wraps views with `functools.wraps`, which copies attributes outwards; what stands
above `route` is set on the very object that was registered. A MethodView may state it once for all
methods or on each method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = Callable[..., Any]
V = TypeVar("V", bound=View)

_ATTRIBUTE = "_trellis_declared"


def declare(view: V, **facts: Any) -> V:
    """State facts about a view function, a method of a MethodView, or a whole MethodView."""
    setattr(view, _ATTRIBUTE, {**getattr(view, _ATTRIBUTE, {}), **facts})
    return view


def stated(view: View, fact: str) -> Any:
    """The fact as stated on exactly this function or class, or None."""
    return getattr(view, _ATTRIBUTE, {}).get(fact)


def declared(view: View, method: str, fact: str) -> Any:
    """The fact as stated for this HTTP method, or None. `get` stands for a missing `head`."""
    view_class = view if isinstance(view, type) else getattr(view, "view_class", None)
    if view_class is None:
        return stated(view, fact)
    handler = getattr(view_class, method.lower(), None)
    if handler is None and method == "HEAD":
        handler = getattr(view_class, "get", None)
    own = stated(handler, fact) if handler else None
    return stated(view_class, fact) if own is None else own
