"""Answers given before Flask: the same, and under the same rules, as those of the view (E-14)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from tests.core.cache.conftest import Node
from tests.processes import until
from werkzeug.test import TestResponse

from trellis_auth import factories as auth
from trellis_cache.tags import digest_of
from trellis_notifications import factories as notifications
from trellis_notifications import services

Pair = tuple[Node, Node]
INBOX = "/v1/notifications/messages"
KEYS = "/.well-known/jwks.json"


class Person:
    """Somebody who is signed in, with three messages."""

    def __init__(self, node: Node, seed: int) -> None:
        with node.app.app_context():
            [self.id] = auth.users(seed=seed)
            self.messages = notifications.messages(self.id, 3, seed=seed)
            [tokens] = auth.sessions([self.id], seed=seed)
        self.session_id = tokens.session_id
        self.headers = {"Authorization": f"Bearer {tokens.access_token}"}


@pytest.fixture
def ada(nodes: Pair) -> Person:
    return Person(nodes[0], 1)


@pytest.fixture
def bob(nodes: Pair) -> Person:
    return Person(nodes[0], 2)


def get(node: Node, path: str, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
    return node.app.test_client().open(path, headers=headers, **more)


def get_before_flask(
    node: Node, path: str, headers: dict[str, str] | None = None, **more: Any
) -> TestResponse:
    """The answer of a process whose Flask would break off, as soon as it keeps one."""
    found: list[TestResponse] = []

    def kept() -> bool:
        found[:] = without_flask(node, path, headers, **more)
        if not found:
            get(node, path, headers)  # the machine is busy: it heard nothing for a second
        return bool(found)

    until(kept, "an answer before Flask")
    return found[0]


def without_flask(
    node: Node, path: str, headers: dict[str, str] | None = None, **more: Any
) -> list[TestResponse]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node.app, "full_dispatch_request", None)
        patch.setattr(node.app, "handle_exception", None)
        with suppress(TypeError):
            return [get(node, path, headers, **more)]
    return []


def without_ids(response: TestResponse) -> dict[str, str]:
    headers = dict(response.headers)
    assert len(headers.pop("X-Request-Id")) >= 8
    return headers


def number_of(response: TestResponse) -> int:
    assert response.status_code == 200, response.text
    assert response.json is not None
    return len(response.json["items"])


@pytest.mark.parametrize("query", ["", "?limit=2", "?fields=id,title", "?unread=true"])
def test_e14_both_ways_answer_the_same(nodes: Pair, ada: Person, query: str) -> None:
    one, _ = nodes
    by_view = get(one, INBOX + query, ada.headers)
    assert by_view.status_code == 200
    before = get_before_flask(one, INBOX + query, ada.headers)
    assert before.data == by_view.data
    assert before.status == by_view.status
    assert without_ids(before) == without_ids(by_view)
    etag = by_view.headers["ETag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        headers = {**ada.headers, "If-None-Match": held}
        with_view, without = (
            get(one, INBOX + query, headers),
            get_before_flask(one, INBOX + query, headers),
        )
        assert (with_view.status, with_view.data) == (without.status, without.data)
        assert without.status_code == (200 if held == "*" else 304) or held == "*"
        assert without_ids(with_view) == without_ids(without)
    head = get_before_flask(one, INBOX + query, ada.headers, method="HEAD")
    assert (head.status_code, head.data, without_ids(head)) == (200, b"", without_ids(by_view))


def test_a_request_id_is_the_clients_or_its_own(nodes: Pair, ada: Person) -> None:
    one, _ = nodes
    get(one, INBOX, ada.headers)
    ids = [get_before_flask(one, INBOX, ada.headers).headers["X-Request-Id"] for _ in range(3)]
    assert len(set(ids)) == 3
    given = get_before_flask(one, INBOX, {**ada.headers, "X-Request-Id": "request-of-a-phone"})
    assert given.headers["X-Request-Id"] == "request-of-a-phone"


def test_e14_an_ended_session_is_refused_at_once_everywhere(nodes: Pair, ada: Person) -> None:
    one, other = nodes
    for node in nodes:
        get(node, INBOX, ada.headers)
        get_before_flask(node, INBOX, ada.headers)
    ended = get(one, f"/v1/auth/sessions/{ada.session_id}", ada.headers, method="DELETE")
    assert ended.status_code == 204
    for node in (other, one):
        assert get(node, INBOX, ada.headers).status_code == 401
        assert get(node, "/v1/notifications/unread-count", ada.headers).status_code == 401


def test_e14_a_closed_account_is_refused_at_once_everywhere(nodes: Pair, ada: Person) -> None:
    one, other = nodes
    for node in nodes:
        get(node, INBOX, ada.headers)
    closed = get(
        one, "/v1/auth/account", ada.headers, method="DELETE", json={"password": auth.PASSWORD}
    )
    assert closed.status_code == 202
    assert [get(node, INBOX, ada.headers).status_code for node in (other, one)] == [401, 401]


def test_e14_what_is_written_in_one_process_is_read_in_the_other(nodes: Pair, ada: Person) -> None:
    one, other = nodes
    for unread, message_id in zip((3, 2, 1), ada.messages, strict=True):
        for node in (other, one, other):
            found = get(node, f"{INBOX}?unread=true", ada.headers)
            assert number_of(found) == unread
        get_before_flask(other, f"{INBOX}?unread=true", ada.headers)
        read = get(one, f"{INBOX}/{message_id}/read", ada.headers, method="POST")
        assert read.status_code == 204


def test_nobody_gets_what_was_kept_for_another(nodes: Pair, ada: Person, bob: Person) -> None:
    one, _ = nodes
    with one.app.app_context():
        services.add_messages(
            [{"user_id": bob.id, "kind": "k", "title": "for bob", "body": "b", "data": {}}]
        )
    for headers, count in ((ada.headers, 3), (bob.headers, 4), (ada.headers, 3), (bob.headers, 4)):
        assert number_of(get(one, INBOX, headers)) == count
    for stranger in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic YTpi"}):
        assert get(one, INBOX, stranger).status_code == 401


def test_whoever_has_two_sessions_has_two_answers(nodes: Pair, ada: Person) -> None:
    one, _ = nodes
    get(one, INBOX, ada.headers)
    with one.app.app_context():
        [tokens] = auth.sessions([ada.id], seed=7)
    second = {"Authorization": f"Bearer {tokens.access_token}"}
    assert number_of(get(one, INBOX, second)) == 3
    get(one, f"/v1/auth/sessions/{ada.session_id}", ada.headers, method="DELETE")
    assert number_of(get_before_flask(one, INBOX, second)) == 3
    assert get(one, INBOX, ada.headers).status_code == 401


def test_what_is_refused_is_not_kept(nodes: Pair, ada: Person) -> None:
    one, _ = nodes
    for path, status in ((f"{INBOX}?unknown=1", 422), (f"{INBOX}/{UUID(int=0)}", 404)):
        for _ in range(2):
            assert get(one, path, ada.headers).status_code == status
            assert without_flask(one, path, ada.headers) == []


def test_what_a_view_would_refuse_of_a_request_goes_to_it(nodes: Pair, ada: Person) -> None:
    one, _ = nodes
    get(one, INBOX, ada.headers)
    get_before_flask(one, INBOX, ada.headers)
    huge = get(one, INBOX, ada.headers, data=b"x" * 2_000_000)
    assert huge.status_code == 413
    assert get(one, INBOX, ada.headers, method="POST").status_code == 405


def test_public_answers_are_shared_by_all(nodes: Pair, ada: Person) -> None:
    one, _ = nodes
    by_view = get(one, KEYS)
    assert by_view.headers["Cache-Control"].startswith("public")
    for headers in ({}, ada.headers, {"Authorization": "Bearer nonsense"}):
        assert get_before_flask(one, KEYS, headers).data == by_view.data


def test_a_public_answer_is_kept_in_front_for_as_long_as_here(
    nodes: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = nodes
    runtime = one.app.extensions["trellis"]
    core = runtime.settings.core.model_copy(update={"cdn_purge_url": "https://cdn.example.org"})
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, core=core))
    assert "Surrogate-Key" not in get(one, f"{KEYS}?a").headers  # nobody said that it may be known
    monkeypatch.setattr(runtime, "public_tags", {"auth.keys"})
    by_view = get(one, f"{KEYS}?b")
    assert by_view.headers["Surrogate-Key"] == digest_of("auth.keys")
    assert by_view.headers["CDN-Cache-Control"].startswith("public, max-age=")
    kept = get_before_flask(one, f"{KEYS}?b", {})
    assert kept.headers["Surrogate-Key"] == by_view.headers["Surrogate-Key"]


def test_e14_a_process_that_hears_nothing_gives_nothing_before_flask(
    nodes: Pair, ada: Person
) -> None:
    one, _ = nodes
    get(one, INBOX, ada.headers)
    get_before_flask(one, INBOX, ada.headers)
    one.cache.follow.__self__.end()  # type: ignore[attr-defined]
    until(lambda: not one.cache.first.is_on, "a first level that is off")
    assert without_flask(one, INBOX, ada.headers) == []
    assert number_of(get(one, INBOX, ada.headers)) == 3


def test_e14_readers_and_a_writer_at_once(
    nodes: Pair, ada: Person, start: Callable[[], Node]
) -> None:
    one, other = nodes
    written = [3]

    def read(node: Node) -> None:
        for _ in range(60):
            at_least = written[0]
            assert number_of(get(node, f"{INBOX}?limit=100", ada.headers)) >= at_least

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, node) for node in (one, other, other)]
        for number in range(15):
            with one.app.app_context():
                row = {"user_id": ada.id, "kind": "k", "title": "t", "body": "b", "data": {}}
                services.add_messages([row])
            written[0] = 4 + number
        for reader in readers:
            reader.result()
