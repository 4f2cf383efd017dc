"""Who may call a view: every view states a rule, one hook enforces it, no rule means refusal."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from flask import Flask, abort, current_app, g, request

from trellis.api.declarations import V, View, declare, declared
from trellis.api.idempotency import answer_to_who_left
from trellis.cache import current_cache
from trellis.contracts import Identity, Principal, caller_tag, port
from trellis.errors import Forbidden, Unauthenticated
from trellis_cache.tags import digest_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Public:
    """Open to everybody, for the stated reason. Credentials that come along are not looked at."""

    reason: str


@dataclass(frozen=True)
class User:
    """Open to every signed-in person."""


@dataclass(frozen=True)
class Requires:
    """Open to whoever holds the permission."""

    permission: str


Rule = Public | User | Requires


@dataclass(frozen=True)
class ViewAccess:
    """The rule of one method of one address; `rule` is None where the author stated none."""

    endpoint: str
    method: str
    path: str
    rule: Rule | None

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.endpoint})"


def access(
    *, public: str | None = None, user: bool = False, permission: str | None = None
) -> Callable[[V], V]:
    """State who may call a view: one of public="reason", user=True, permission="media.upload"."""
    rule = _rule(public, user, permission)

    def decorator(view: V) -> V:
        return declare(view, access=rule)

    return decorator


def _rule(public: str | None, user: bool, permission: str | None) -> Rule:
    stated: list[Rule] = [
        *([Public(public)] if public else []),
        *([User()] if user else []),
        *([Requires(permission)] if permission else []),
    ]
    if len(stated) != 1:
        raise TypeError('access needs exactly one of public="reason", user=True, permission="…"')
    return stated[0]


def access_rule(view: View, method: str) -> Rule | None:
    """The rule that a view states for an HTTP method."""
    return cast("Rule | None", declared(view, method, "access"))


def view_access(app: Flask) -> Iterator[ViewAccess]:
    """Every view of the application with its rule, each method for itself."""
    for route in app.url_map.iter_rules():
        view = app.view_functions[route.endpoint]
        for method in sorted(route.methods or ()):
            automatic = method == "HEAD" or (
                method == "OPTIONS" and getattr(route, "provide_automatic_options", False)
            )
            if not automatic:
                rule = access_rule(view, method)
                yield ViewAccess(route.endpoint, method, route.rule, rule)


def undeclared_views(app: Flask) -> list[ViewAccess]:
    """The views that state no rule; the application must not start while there is one."""
    return [view for view in view_access(app) if view.rule is None]


def current_principal() -> Principal:
    """The caller of this request. Raises RuntimeError on a public view, which has none."""
    principal = g.get("principal")
    if principal is None:
        raise RuntimeError("no principal: public views do not authenticate")
    return cast("Principal", principal)


def enforce_access() -> None:
    """Before-request hook: refuse whoever the view's rule does not let in."""
    route = request.url_rule
    if route is None:
        return  # unknown address or method: routing refuses it
    if request.method == "OPTIONS" and getattr(route, "provide_automatic_options", False):
        return  # answered by Flask with `Allow`, the view does not run
    rule = access_rule(current_app.view_functions[route.endpoint], request.method)
    if isinstance(rule, Public):
        return
    if rule is None:
        logger.error("view without an access rule refused: %s", route.endpoint)
        raise Forbidden
    g.principal = principal = _authenticate()
    if permits(rule, principal):
        return
    if isinstance(rule, Requires):
        challenge = f'Bearer error="insufficient_scope", scope="{rule.permission}"'
        raise Forbidden(
            f"This needs the permission {rule.permission}.",
            headers={"WWW-Authenticate": challenge},
            permission=rule.permission,
        )
    raise Forbidden("This is for signed-in people; a service has no things of its own.")


def permits(rule: Rule, caller: Principal) -> bool:
    """Whether the rule lets an authenticated caller in."""
    if isinstance(rule, Requires):
        return caller.can(rule.permission)
    return isinstance(rule, Public) or caller.kind != "service"


def caller_key(authorization: str) -> tuple[str, bytes]:
    """Where a process remembers who has sent this header."""
    return "caller", hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest()


def _authenticate() -> Principal:
    authorization = request.headers.get("Authorization")
    if authorization is None:
        raise Unauthenticated
    cache, key = current_cache(), caller_key(authorization)
    principal: Principal | None = cache.recall("core", key)
    if principal is None:
        mark = cache.first.mark()
        principal = _asked(authorization)
        tags = [digest_of(caller_tag(principal.session_id))]
        cache.first.put(key, principal, 0, tags, principal.good_seconds, mark)
    return principal


def _asked(authorization: str) -> Principal:
    try:
        principal = port(Identity).authenticate(authorization)
    except Unauthenticated as refusal:
        if (answer := answer_to_who_left()) is not None:
            abort(answer)
        refusal.headers.setdefault("WWW-Authenticate", 'Bearer error="invalid_token"')
        raise
    if principal is None:
        raise Unauthenticated("Credentials of this kind are not taken here.")
    return principal
