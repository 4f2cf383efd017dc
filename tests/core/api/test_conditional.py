"""Files are served whole, in part, or not again (statements B-10, B-11, B-14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from trellis.api import Blueprint, blob_response
from trellis.api.conditional import content_disposition

CONTENT = bytes(range(100))
MODIFIED = datetime(2026, 1, 31, 12, 0, 0, 123, tzinfo=UTC)
SAME = "Sat, 31 Jan 2026 12:00:00 GMT"
EARLIER = "Sat, 31 Jan 2026 11:59:59 GMT"
TAG = '"abc"'


@pytest.fixture
def opened() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def client(make_app: Callable[..., Flask], opened: list[tuple[int, int]]) -> FlaskClient:
    files = Blueprint("files", __name__)

    def pieces(start: int, end: int) -> Iterator[bytes]:
        opened.append((start, end))
        for at in range(start, end, 7):
            yield CONTENT[at : min(at + 7, end)]

    @files.get("/photo")
    @files.access(public="a test")
    @files.blob("image/*")
    def photo() -> Any:
        """Download the photo."""
        return blob_response(
            pieces,
            size=len(CONTENT),
            etag="abc",
            content_type="image/webp",
            filename="Möwe.webp",
            last_modified=MODIFIED,
        )

    @files.get("/empty")
    @files.access(public="a test")
    @files.blob()
    def empty() -> Any:
        """Download nothing."""
        return blob_response(
            pieces, size=0, etag="e", content_type="text/plain", cache_control="public, max-age=9"
        )

    return make_app(files).test_client()


def test_whole(client: FlaskClient) -> None:
    response = client.get("/v1/files/photo")
    assert response.data == CONTENT
    assert response.headers["ETag"] == TAG
    assert response.headers["Last-Modified"] == SAME
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Type"] == "image/webp"
    assert response.headers["Content-Length"] == "100"


def test_b14_browser_cannot_be_talked_into_running_it(client: FlaskClient) -> None:
    headers = client.get("/v1/files/photo").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Content-Disposition"].startswith("attachment; ")


@pytest.mark.parametrize(
    ("path", "cache_control", "vary"),
    [("photo", "private, no-cache", "Authorization"), ("empty", "public, max-age=9", None)],
)
def test_caching_is_stated(
    client: FlaskClient, path: str, cache_control: str, vary: str | None
) -> None:
    headers = client.get(f"/v1/files/{path}").headers
    assert (headers["Cache-Control"], headers.get("Vary")) == (cache_control, vary)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": TAG}, 304),
        ({"If-None-Match": 'W/"abc"'}, 304),
        ({"If-None-Match": '"x", "abc"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": SAME}, 200),
        ({"If-None-Match": TAG, "If-Modified-Since": EARLIER}, 304),
        ({"If-None-Match": TAG, "Range": "bytes=0-1"}, 304),
        ({"If-Modified-Since": SAME}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Match": TAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": 'W/"abc"'}, 412),
        ({"If-Unmodified-Since": SAME}, 200),
        ({"If-Unmodified-Since": EARLIER}, 412),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_b10_conditions(
    client: FlaskClient, headers: dict[str, str], status: int, method: str
) -> None:
    response = client.open("/v1/files/photo", method=method, headers=headers)
    assert response.status_code == status
    if status == 304:
        assert response.data == b""
        assert response.headers["ETag"] == TAG
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.headers["Vary"] == "Authorization"
        assert "Content-Length" not in response.headers


@pytest.mark.parametrize(
    ("requested", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("Bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=99-99999999999999999999", (99, 100)),
    ],
)
def test_b11_single_range(
    client: FlaskClient, opened: list[tuple[int, int]], requested: str, part: tuple[int, int]
) -> None:
    response = client.get("/v1/files/photo", headers={"Range": requested})
    start, end = part
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/100"
    assert response.headers["Content-Length"] == str(end - start)
    assert response.headers["ETag"] == TAG
    assert response.data == CONTENT[start:end]
    assert opened == [part]


@pytest.mark.parametrize(
    "requested", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"]
)
def test_b11_beyond_the_end(client: FlaskClient, requested: str) -> None:
    response = client.get("/v1/files/photo", headers={"Range": requested})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */100"
    assert response.get_json()["code"] == "core.range_not_satisfiable"


@pytest.mark.parametrize(
    "requested",
    [
        "bytes=0-1,5-6",
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=5-1",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1_0-2_0",
        "lines=1-2",
        "bytes",
        "",
    ],
    ids=lambda requested: requested[:20],
)
def test_b11_what_is_no_single_range_gives_the_whole(client: FlaskClient, requested: str) -> None:
    response = client.get("/v1/files/photo", headers={"Range": requested})
    assert (response.status_code, response.data) == (200, CONTENT)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (TAG, 206),
        ('"old"', 200),
        ('W/"abc"', 200),
        (SAME, 206),
        (EARLIER, 200),
        ("garbage", 200),
    ],
)
def test_b10_if_range(client: FlaskClient, if_range: str, status: int) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": if_range}
    response = client.get("/v1/files/photo", headers=headers)
    assert response.status_code == status
    assert response.data == (CONTENT[:10] if status == 206 else CONTENT)


def test_head_ignores_the_range_and_opens_nothing(
    client: FlaskClient, opened: list[tuple[int, int]]
) -> None:
    response = client.head("/v1/files/photo", headers={"Range": "bytes=0-9"})
    assert response.status_code == 200
    assert response.headers["Content-Length"] == "100"
    assert (response.data, opened) == (b"", [])


def test_empty_file(client: FlaskClient) -> None:
    response = client.get("/v1/files/empty", headers={"Range": "bytes=0-"})
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        (None, "attachment"),
        ("", "attachment"),
        ("photo.jpg", 'attachment; filename="photo.jpg"'),
        ("Möwe.jpg", "attachment; filename=\"Mowe.jpg\"; filename*=UTF-8''M%C3%B6we.jpg"),
        ("фото", "attachment; filename=\"file\"; filename*=UTF-8''%D1%84%D0%BE%D1%82%D0%BE"),
        ('a"b\\c.txt', 'attachment; filename="c.txt"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("a\r\nSet-Cookie: x", 'attachment; filename="aSet-Cookie: x"'),
        ("a\x00b", 'attachment; filename="ab"'),
        ("photo\u202egpj.exe", 'attachment; filename="photogpj.exe"'),
        ("x" * 300 + ".jpg", f'attachment; filename="{"x" * 196}.jpg"'),
        (" . ", "attachment"),
    ],
)
def test_b17_download_name(filename: str | None, header: str) -> None:
    assert content_disposition(filename, inline=False) == header


def test_inline() -> None:
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'
