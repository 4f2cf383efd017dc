"""What is taken in, and what is not: decided by the bytes, never by name or stated type."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from trellis.stream.asgi import front
from trellis.testing import Scenario
from trellis_media.errors import UnsupportedContent
from trellis_media.factories import picture
from trellis_media.services.content import identify

ASSETS = "/v1/media/assets"

Headers = dict[str, str]
Check = Callable[[Scenario], Any]
SignIn = Callable[..., Headers]
Upload = Callable[..., str]
Form = Callable[..., dict[str, Any]]


def encoded(kind: str, width: int = 30, height: int = 20, **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, kind, **options)
    return file.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header states a size that its few bytes do not have."""
    data = encoded("PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def jpeg_of(width: int, height: int) -> bytes:
    data = encoded("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def gif_of(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + encoded("GIF")[10:]


def webp_of(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sizes + b"VP8 "


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (encoded("JPEG"), "image/jpeg"),
        (encoded("JPEG", progressive=True), "image/jpeg"),
        (encoded("JPEG", exif=b"Exif\0\0" + b"x" * 60_000), "image/jpeg"),
        (encoded("JPEG", icc_profile=b"x" * 600_000), "image/jpeg"),
        (encoded("PNG"), "image/png"),
        (encoded("WEBP"), "image/webp"),
        (encoded("WEBP", lossless=True), "image/webp"),
        (encoded("WEBP", exif=b"Exif\0\0II*\0"), "image/webp"),
        (encoded("GIF"), "image/gif"),
    ],
    ids=[
        "jpeg", "progressive", "big-exif", "big-profile",
        "png", "webp", "webp-lossless", "webp-extended", "gif",
    ],
)  # fmt: skip
def test_type_and_size_are_read_from_the_header(data: bytes, content_type: str) -> None:
    found = identify(BytesIO(data))
    assert (found.kind.content_type, found.width, found.height) == (content_type, 30, 20)


NO_PICTURES = {
    "empty": b"",
    "one-byte": b"\xff",
    "text": b"This is not a picture.\n" * 50,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "html": b"<!doctype html><script>alert(1)</script>",
    "pdf": b"%PDF-1.7\n" + b"x" * 100,
    "zip-with-a-jpeg": b"PK\x03\x04" + encoded("JPEG"),
    "bmp": b"BM" + b"\0" * 100,
    "heic": b"\0\0\0\x18ftypheic" + b"\0" * 100,
    "wave": b"RIFF\0\0\0\0WAVEfmt " + b"\0" * 50,
    "jpeg-magic": b"\xff\xd8\xff",
    "jpeg-end": b"\xff\xd8\xff\xd9",
    "jpeg-fill": b"\xff\xd8" + b"\xff" * 1000,
    "jpeg-segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000,
    "jpeg-length": b"\xff\xd8" + b"\xff\xe0\x00\x00" * 100,
    "jpeg-cut": encoded("JPEG")[:100],
    "jpeg-no-width": jpeg_of(0, 10),
    "jpeg-no-height": jpeg_of(10, 0),
    "png-late": b" " + encoded("PNG"),
    "png-no-width": png_of(0, 10),
    "png-zeros": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "png-magic": b"\x89PNG\r\n\x1a\n",
    "gif-magic": b"GIF89a\x01",
    "gif-no-size": gif_of(0, 0),
    "webp-magic": b"RIFF\0\0\0\0WEBP",
    "webp-cut": b"RIFF\0\0\0\0WEBPVP8X",
    "webp-zeros": b"RIFF\0\0\0\0WEBPVP8L" + b"\0" * 50,
}


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES)
def test_anything_else_is_refused(
    check: Check, as_user: SignIn, form: Form, objects: Callable[[], set[str]], data: bytes
) -> None:
    check(
        Scenario(
            "POST",
            ASSETS,
            415,
            as_user(),
            **form(data, "photo.jpg", type_="image/jpeg"),
            code="media.unsupported_content",
            has={"supported": ["image/jpeg", "image/png", "image/webp", "image/gif"]},
        )
    )
    assert not objects()


def test_a_hostile_header_costs_little() -> None:
    reads = 0

    class Counted(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    with pytest.raises(UnsupportedContent):
        identify(Counted(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000))
    assert reads < 3000


@pytest.mark.parametrize(
    "data",
    [
        png_of(60_000, 60_000),
        jpeg_of(65_000, 65_000),
        gif_of(65_535, 65_535),
        webp_of(1 << 24, 1 << 24),
    ],
    ids=["png", "jpeg", "gif", "webp"],
)
def test_a_header_that_states_a_huge_picture_is_refused(
    check: Check, as_user: SignIn, form: Form, objects: Callable[[], set[str]], data: bytes
) -> None:
    refused = Scenario("POST", ASSETS, 422, as_user(), **form(data))
    check(replace(refused, code="media.too_many_pixels", has={"max_pixels": 50_000_000}))
    assert not objects()


def test_a_type_that_lies_does_not_matter(check: Check, as_user: SignIn, form: Form) -> None:
    check(
        Scenario(
            "POST",
            ASSETS,
            201,
            as_user(),
            **form(encoded("PNG"), "../../evil.html", type_="text/html"),
            has={"content_type": "image/png", "filename": "evil.png"},
            events=("media.asset_uploaded/1",),
            tasks=("media.make_renditions",),
        )
    )


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        ("..", "...jpg"),
        ("/etc/passwd", "passwd.jpg"),
        ("C:\\Windows\\nul.html", "nul.jpg"),
        (".htaccess", ".htaccess.jpg"),
        ("a" * 300 + ".png", "a" * 180 + ".jpg"),
        ("\N{HIRAGANA LETTER A}" * 200, "\N{HIRAGANA LETTER A}" * 180 + ".jpg"),
        ("photo\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "photo\N{RIGHT-TO-LEFT OVERRIDE}gpj.jpg"),
        ("  ", "picture.jpg"),
    ],
)
def test_a_file_name_is_only_a_name(
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    objects: Callable[[], set[str]],
    filename: str,
    kept: str,
) -> None:
    me = as_user()
    asset_id = upload(me, picture(), filename)
    assert client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()["filename"] == kept
    assert objects() == {f"media/{asset_id}/original"}
    answer = client.get(f"{ASSETS}/{asset_id}/content", headers=me)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in answer.headers["Content-Disposition"]
    assert "%E2%80%AE" not in answer.headers["Content-Disposition"]


def test_a_file_of_two_faces_is_given_out_as_one(
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: Callable[..., list[str]],
) -> None:
    """A JPEG that is also a web page and an archive."""
    page = b"<html><script>alert(1)</script></html>"
    both = encoded("JPEG", comment=page) + b"PK\x05\x06" + b"\0" * 18
    me = as_user()
    asset = f"{ASSETS}/{upload(me, both, 'page.html')}"
    run_tasks()
    original = client.get(f"{asset}/content", headers=me)
    assert original.data == both
    assert original.headers["Content-Type"] == "image/jpeg"
    assert original.headers["Content-Disposition"] == 'attachment; filename="page.jpg"'
    assert original.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("small", "large"):
        made = client.get(f"{asset}/renditions/{name}", headers=me).data
        assert b"script" not in made
        assert b"PK\x05\x06" not in made


# --- the form -----------------------------------------------------------------------------------


def test_a_form_without_the_file_is_refused(
    check: Check, as_user: SignIn, form: Form, objects: Callable[[], set[str]]
) -> None:
    refused = Scenario("POST", ASSETS, 422, as_user(), code="core.invalid_input")
    check(refused)
    check(replace(refused, **form(b"no file, a field", None)))
    check(replace(refused, **form(picture(), name="photo")))
    assert not objects()


def test_a_picture_that_is_no_form_is_refused(client: FlaskClient, as_user: SignIn) -> None:
    response = client.post(ASSETS, data=picture(), headers=as_user(), content_type="image/jpeg")
    assert response.status_code == 415
    assert response.get_json()["code"] == "core.unsupported_media_type"


# --- limits -------------------------------------------------------------------------------------


def test_a_file_over_the_limit_is_refused(
    check: Check,
    as_user: SignIn,
    form: Form,
    settings: Callable[..., None],
    objects: Callable[[], set[str]],
) -> None:
    settings(max_upload_bytes=2000)
    data = encoded("PNG").ljust(2001, b"\0")
    refused = Scenario("POST", ASSETS, 413, as_user(), **form(data))
    check(replace(refused, code="media.asset_too_large", has={"max_bytes": 2000}))
    check(replace(refused, **form(b"x" * 100_000), code="core.content_too_large"))
    assert not objects()


def test_a_large_file_is_taken_that_other_routes_would_refuse(
    app: Flask, client: FlaskClient, as_user: SignIn, upload: Upload
) -> None:
    me = as_user()
    size = 5 * app.config["MAX_CONTENT_LENGTH"]
    data = encoded("PNG").ljust(size, b"\0")
    asset_id = upload(me, data)
    assert client.get(f"{ASSETS}/{asset_id}/content", headers=me).data == data


# The form parser leaves the file of a body that the limit cuts off to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("padding", "status"), [(0, 201), (200_000, 413)], ids=["fits", "too-large"]
)
def test_a_body_in_chunks_without_a_length_is_taken_within_the_limit(
    app: Flask,
    as_user: SignIn,
    form: Form,
    settings: Callable[..., None],
    padding: int,
    status: int,
) -> None:
    """As phones send what they are still reading; here through the front of a laptop."""
    settings(max_upload_bytes=100_000)
    body = form(picture().ljust(padding, b"\0"))
    headers = as_user() | body["headers"] | {"Transfer-Encoding": "chunked"}
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": ASSETS, "root_path": "", "query_string": b"", "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    pieces = [body["data"][at : at + 500] for at in range(0, len(body["data"]), 500)]
    answers: list[Any] = []

    async def receive() -> Any:
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        answers.append(message)

    asyncio.run(asyncio.wait_for(front(app)(scope, receive, send), 20))
    assert answers[0]["status"] == status, answers


def test_the_quota_is_each_users_own_and_deleting_makes_room(
    check: Check, as_user: SignIn, form: Form, upload: Upload, client: FlaskClient,
    settings: Callable[..., None], objects: Callable[[], set[str]],
) -> None:  # fmt: skip
    data = picture()
    settings(quota_bytes=2 * len(data))
    me, other = as_user(), as_user()
    first, second = upload(me, data), upload(me, data)
    check(
        Scenario(
            "POST",
            ASSETS,
            409,
            me,
            **form(data),
            code="media.quota_exceeded",
            has={"quota_bytes": 2 * len(data)},
        )
    )
    assert len(objects()) == 2
    upload(other, data)
    assert client.delete(f"{ASSETS}/{first}", headers=me).status_code == 204
    upload(me, data)
    assert client.delete(f"{ASSETS}/{second}", headers=me).status_code == 204


def test_uploads_at_once_cannot_exceed_the_quota(
    app: Flask,
    as_user: SignIn,
    form: Form,
    settings: Callable[..., None],
    objects: Callable[[], set[str]],
) -> None:
    data = picture()
    settings(quota_bytes=3 * len(data) + 1)
    body = form(data)
    headers = as_user() | body["headers"]

    def send(_: int) -> int:
        client = app.test_client()
        return client.post(ASSETS, data=body["data"], headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(send, range(12)))
    assert statuses == [201] * 3 + [409] * 9
    assert len(objects()) == 3
