"""Which form of an answer is sent to whom (RFC 9110, sections 8.8.3.3, 12.5.3, 13.1)."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.http import parse_etags

from trellis_http.coding import (
    SMALLEST_BYTES,
    held,
    may_be_packed,
    names,
    pack,
    packed_tag,
    takes_gzip,
    unchanged,
)


@pytest.mark.parametrize(
    ("accept_encoding", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip;q=0.001", True),
        ("gzip ; q=1.000", True),
        ("*", True),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("gzip;q=0, x-gzip", False),
        ("*;q=0", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        ("gzip;q=-1", False),
        ("gzip;level=9", False),
        ("gzipped", False),
        (",;,=", False),
    ],
)
def test_what_accept_encoding_says(accept_encoding: str, takes: bool) -> None:
    assert takes_gzip(accept_encoding) is takes


@given(st.text())
def test_whatever_it_says_it_is_answered(accept_encoding: str) -> None:
    assert takes_gzip(accept_encoding) in (True, False)


@pytest.mark.parametrize(
    ("headers", "size", "packs"),
    [
        ({"Content-Type": "application/json"}, SMALLEST_BYTES, True),
        ({"Content-Type": "application/json"}, SMALLEST_BYTES - 1, False),
        ({"Content-Type": "application/problem+json; charset=utf-8"}, 9000, True),
        ({"Content-Type": "Text/HTML"}, 9000, True),
        ({"Content-Type": "text/event-stream"}, 9000, False),
        ({"Content-Type": "text/event-stream; charset=utf-8"}, 9000, False),
        ({"Content-Type": "image/webp"}, 9000, False),
        ({"Content-Type": "image/svg+xml"}, 9000, False),
        ({"Content-Type": "application/octet-stream"}, 9000, False),
        ({"Content-Type": "application/json-seq"}, 9000, False),
        ({}, 9000, False),
        ({"Content-Type": "text/plain", "Content-Encoding": "gzip"}, 9000, False),
        ({"Content-Type": "text/plain", "Content-Range": "bytes 0-1/2"}, 9000, False),
        ({"Content-Type": "text/plain", "Cache-Control": "public, no-transform"}, 9000, False),
        ({"Content-Type": "text/plain", "Cache-Control": "no-store"}, 9000, True),
    ],
)
def test_what_is_worth_it(headers: dict[str, str], size: int, packs: bool) -> None:
    assert may_be_packed(Headers(headers), size) is packs


@given(st.binary(max_size=20_000))
def test_what_is_packed_is_what_was_there_and_the_same_each_time(body: bytes) -> None:
    assert gzip.decompress(pack(body)) == body
    assert pack(body) == pack(body)


@pytest.mark.parametrize(
    ("if_none_match", "named"),
    [
        ('"a-gzip"', '"a-gzip"'),
        ('"a"', '"a"'),
        ('W/"a"', '"a"'),
        ('W/"a-gzip"', '"a-gzip"'),
        ('"x", "a"', '"a"'),
        ('"a", "a-gzip"', '"a-gzip"'),
        ("*", '"a-gzip"'),
        ('"b"', None),
        ('"a-gzip-gzip"', None),
        ("", None),
    ],
)
def test_either_form_is_held(if_none_match: str, named: str | None) -> None:
    assert held(if_none_match, [packed_tag('"a"'), '"a"']) == named


def test_a_weak_tag_of_ours_is_held_too() -> None:
    assert packed_tag('W/"a"') == 'W/"a-gzip"'
    assert held('"a-gzip"', ['W/"a-gzip"', 'W/"a"']) == 'W/"a-gzip"'


@pytest.mark.parametrize(
    ("if_match", "matches"),
    [
        ('"a"', True),
        ('"a-gzip"', True),
        ('"b", "a-gzip"', True),
        ("*", True),
        ('W/"a"', False),
        ('W/"a-gzip"', False),
        ('"a-gz"', False),
        ("", False),
    ],
)
def test_either_form_matches_when_it_is_strong(if_match: str, matches: bool) -> None:
    assert names(parse_etags(if_match), "a") is matches


def test_a_304_says_nothing_of_a_content_that_is_not_there() -> None:
    of_content = [("Content-Type", "a/b"), ("Content-Length", "9"), ("Content-Encoding", "gzip")]
    rest = [("Vary", "Accept-Encoding"), ("Cache-Control", "private, no-cache")]
    assert unchanged([*of_content, *rest, ("ETag", '"a"')], '"a-gzip"') == [
        *rest,
        ("ETag", '"a-gzip"'),
    ]
