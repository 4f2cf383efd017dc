"""Whole answers that are kept: `@cached_response`, and what of a request they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, Response, current_app, g, request
from prometheus_client import Counter
from werkzeug.datastructures import Headers

from trellis.api.access import Public, Rule, access_rule
from trellis.api.declarations import V, declare, declared
from trellis.api.headers import finish_headers
from trellis.cache import current_cache
from trellis.cache.function import key_of, own, owner
from trellis.cache.in_front import surrogate_headers
from trellis.cache.shared import READS
from trellis.contracts import Principal
from trellis_cache.backend import LONGEST_SECONDS
from trellis_http.coding import describe_packed, may_be_packed, pack, takes_gzip

_ENTRY_BYTES = 1500


@dataclass(frozen=True)
class Keeping:
    """How the answers of a view are kept."""

    tags: Callable[..., Iterable[str]]
    seconds: int
    stale: int
    shared: bool


@dataclass(frozen=True, slots=True)
class Form:
    """One of the forms in which the same is sent. `etag` is as it stands in its header."""

    headers: list[tuple[str, str]]
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 with everything but what belongs to one request; its rule holds each time."""

    scope: str
    route: str
    rule: Rule
    plain: Form
    packed: Form | None
    """With gzip, where that makes it smaller."""
    reads: Counter
    """Counts how often it is given."""

    def forms(self, accept_encoding: str) -> list[Form]:
        """The forms that there are, the one to be sent first."""
        if self.packed is None:
            return [self.plain]
        forms = [self.packed, self.plain]
        return forms if takes_gzip(accept_encoding) else forms[::-1]


def cached_response(
    *, tags: Callable[..., Iterable[str]], seconds: int, stale: int = 0, shared: bool = False
) -> Callable[[V], V]:
    """Keep what a GET is answered for `seconds`, or until one of its tags is invalidated.

    `tags` gets the caller (`Principal`, None where the view is public) and then the view's
    arguments from the path, by name; what it gives begins with the plugin's name, as for `cached`.
    Answers are kept for each caller by themselves unless they are `shared` by all whom the view's
    access rule lets in; that is asked each time. One that is no JSON, or `no-store`, or not 200, is
    not kept. A process that keeps one gives it before Flask has seen the request, so no hook of a
    blueprint runs then. `stale` is as for `cached`.
    """
    if not (seconds > 0 and stale >= 0 and seconds + stale <= LONGEST_SECONDS):
        raise ValueError(f"seconds must be 1 to {LONGEST_SECONDS}, those for the stale included")

    def decorator(view: V) -> V:
        return declare(view, keeping=Keeping(tags, seconds, stale, shared))

    return decorator


Target = tuple[str, ...]


def target_of(environ: dict[str, Any]) -> Target:
    """What was asked for."""
    get = environ.get
    return get("SCRIPT_NAME", ""), environ["PATH_INFO"], get("QUERY_STRING", "")


def answer_key(caller: Principal | None, target: Target) -> tuple[Any, ...]:
    """Where this process keeps an answer."""
    return "answer", caller, target


def kept_answer(app: Flask, view: Callable[[], Any]) -> Any:
    """What the view answers, or has answered; as it comes where its answers are not kept."""
    route = request.url_rule
    if route is None:
        return view()
    function = app.view_functions[route.endpoint]
    keeping = cast("Keeping | None", declared(function, request.method, "keeping"))
    if keeping is None:
        return view()
    caller: Principal | None = g.get("principal")
    rule = access_rule(function, request.method)
    assert rule is not None
    scope, release = owner(function.__module__)
    named = list(keeping.tags(caller, **(request.view_args or {})))
    tags = own(scope, named)
    depends_on = None if keeping.shared else caller
    target = target_of(request.environ)

    def compute() -> Any:
        response = current_app.make_response(view())
        if not _may_be_kept(response):
            raise _NotKept(response)
        if isinstance(rule, Public):
            response.headers.setdefault("Cache-Control", "public, no-cache")
            response.headers.update(surrogate_headers(named, keeping.seconds))
        finish_headers(response)
        return [list(response.headers), response.get_data(as_text=True)]

    cache = current_cache()
    key = key_of(release, scope, f"answer:{route.endpoint}", _digest(depends_on, target))
    try:
        kept = cache.second(scope, key, tags, keeping.seconds, compute, keeping.stale)
    except _NotKept as found:
        return found.response
    pairs, text = json.loads(kept.encoded)
    headers = Headers((str(name), str(value)) for name, value in pairs)
    plain, packed = _forms(headers, text.encode())
    answer = Answer(scope, route.rule, rule, plain, packed, READS.labels(scope, "local"))
    size = len(plain.body) + (len(packed.body) if packed else 0) + _ENTRY_BYTES
    cache.remember(scope, answer_key(depends_on, target), answer, size, tags, kept)
    g.packed = packed.body if packed else None
    return Response(text, headers=headers)


def _forms(headers: Headers, body: bytes) -> tuple[Form, Form | None]:
    if not may_be_packed(headers, len(body)):
        return Form(list(headers), body, headers.get("ETag", "")), None
    headers["Vary"] = ", ".join([*headers.getlist("Vary"), "Accept-Encoding"])
    plain = Form(list(headers), body, headers.get("ETag", ""))
    packed, of_packed = pack(body), headers.copy()
    describe_packed(of_packed, len(packed))
    return plain, Form(list(of_packed), packed, of_packed.get("ETag", ""))


class _NotKept(Exception):
    """Carries an answer past the cache."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _may_be_kept(response: Response) -> bool:
    return (
        response.status_code == 200
        and response.is_json
        and not response.is_streamed
        and not response.cache_control.no_store
        and "Set-Cookie" not in response.headers
    )


def _digest(caller: Principal | None, target: Target) -> str:
    who = caller and [
        str(caller.id),
        caller.kind,
        sorted(caller.permissions),
        str(caller.session_id),
        caller.device_id,
    ]
    text = json.dumps([who, target])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
