"""What is kept is given with gzip before Flask: as the view would give it, and packed but once."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import date

import pytest
from tests.core.cache.conftest import Node
from tests.core.cache.test_front import INBOX, Person, get, get_before_flask, without_ids

from trellis.api import headers as sending
from trellis_http.deprecation import Deprecation
from trellis_notifications import factories as notifications

TAKES = {"Accept-Encoding": "gzip, br"}


def test_both_ways_answer_the_same_in_either_form(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = nodes
    ada = Person(one, 1)
    with one.app.app_context():
        notifications.messages(ada.id, 20, seed=5)
    takes = {**ada.headers, **TAKES}
    plain, small = get(one, INBOX, ada.headers), get(other, INBOX, takes)
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data
    monkeypatch.setattr(sending, "pack", None)  # what is kept needs it no more
    for node in nodes:
        for headers, by_view in ((ada.headers, plain), (takes, small)):
            before = get_before_flask(node, INBOX, headers)
            assert before.data == by_view.data
            assert without_ids(before) == without_ids(by_view)
            head = get_before_flask(node, INBOX, headers, method="HEAD")
            assert (head.data, without_ids(head)) == (b"", without_ids(by_view))
            for held in (plain, small):
                again = {**headers, "If-None-Match": held.headers["ETag"]}
                unchanged = get_before_flask(node, INBOX, again)
                assert (unchanged.status_code, unchanged.data) == (304, b"")
                assert without_ids(unchanged) == without_ids(get(node, INBOX, again))
                assert unchanged.headers["ETag"] == held.headers["ETag"]


def test_e06_what_is_kept_says_that_it_is_deprecated(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = nodes
    ada = Person(one, 3)
    operations = one.app.extensions["trellis.api"].operations
    [key] = [
        key for key, one in operations.items() if one.operation_id == "notifications_list_messages"
    ]
    old = Deprecation(date(2026, 11, 1), date(2027, 5, 1))
    monkeypatch.setitem(operations, key, replace(operations[key], deprecation=old))
    by_view = get(one, INBOX, ada.headers)
    assert by_view.headers["Deprecation"] == "@1793491200"
    assert len(by_view.headers.getlist("Link")) == 1
    before = get_before_flask(one, INBOX, ada.headers)
    assert without_ids(before) == without_ids(by_view)
    unchanged = {**ada.headers, "If-None-Match": by_view.headers["ETag"]}
    assert "Sunset" in get_before_flask(one, INBOX, unchanged).headers
