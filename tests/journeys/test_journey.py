"""The product's main job, through a really started server: what a phone does from first to last."""

from __future__ import annotations

import time
from base64 import b64decode
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from PIL import ExifTags, Image
from tests.phones import Phones, mails, refused, sign_in, user_id, verify
from tests.processes import PATIENCE, Trellis
from thumbhash import thumb_hash_to_approximate_aspect_ratio, thumb_hash_to_rgba

from trellis_demo.operator import Operator
from trellis_demo.phone import PHOTO, analytics_events
from trellis_demo.stream import StreamEntry

READY = "media.asset_ready/1"


def test_a_mail_brings_the_code_that_opens_the_account(phones: Phones) -> None:
    ada = phones.new()
    code = ada.sign_up()

    (mail,) = mails(ada)
    assert mail["to"] == ada.email
    assert code in mail["text"]
    refused(sign_in(ada), 403, "auth.not_verified")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    refused(verify(ada, wrong), 400, "auth.invalid_code")

    assert verify(ada, code).status_code == 204
    refused(verify(ada, code), 400, "auth.invalid_code")
    assert sign_in(ada).status_code == 201
    assert len(mails(ada)) == 1


def test_a_signed_in_device_holds_standard_tokens_and_shows_in_the_list(
    server: Trellis, phones: Phones
) -> None:
    ada = phones.new()
    ada.verify(ada.sign_up())
    before = int(time.time())
    tokens = ada.sign_in("Ada's phone")
    account = ada.http.get("/v1/auth/account", headers=ada.headers).json()

    # As another service would: with nothing but the published keys and RFC 9068.
    published = ada.http.get("/.well-known/jwks.json").json()
    assert all("d" not in key for key in published["keys"])
    token = jwt.decode(tokens["access_token"], KeySet.import_key_set(published), ["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == server.url
    assert token.claims["sub"] == account["id"]
    assert token.claims["client_id"] == "trellis-app"
    assert token.claims["sid"] == tokens["session_id"]
    assert token.claims["jti"]
    assert before <= token.claims["iat"] <= time.time()
    assert token.claims["exp"] - token.claims["iat"] == tokens["expires_in"] <= 3600

    (session,) = ada.sessions()
    assert session["id"] == tokens["session_id"]
    assert session["current"] is True
    assert session["device"] == {
        "installation_id": ada.installation_id,
        "name": "Ada's phone",
        "platform": "android",
    }

    fresh = ada.refresh()
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert fresh["session_id"] == tokens["session_id"]
    assert ada.http.get("/v1/auth/account", headers=ada.headers).json() == account


def test_a_photo_becomes_ready_and_its_owner_is_told_everywhere(
    server: Trellis, phones: Phones
) -> None:
    ada = phones.signed_in()
    push_token = ada.register_for_push()
    with ada.open_stream() as stream:
        asset = ada.upload(name="Holiday at the observatory.jpg")
        assert asset["state"] == "processing"
        assert asset["content_type"] == "image/jpeg"
        assert asset["size"] == PHOTO.stat().st_size
        entry = stream.wait_for(READY, PATIENCE)
        delay = time.time() - committed_at(server, entry)

    # Within a second is a statement of time: the nightly test below makes it.
    assert 0 <= delay < 30
    assert entry.data["resource_id"] == asset["id"]
    ready = ada.asset(asset["id"])
    assert ready["state"] == "ready"
    assert (ready["width"], ready["height"]) == (2048, 1152)  # upright: it is stored on its side
    assert entry.data["payload"]["thumbhash"] == ready["thumbhash"]

    (message,) = ada.inbox(unread=True)
    assert message["kind"] == "media.photo_ready"
    assert message["data"] == {"asset_id": asset["id"]}
    assert message["read_at"] is None
    ada.read_message(message["id"])
    assert ada.inbox(unread=True) == []
    (message,) = ada.inbox(unread=False)
    assert message["read_at"] is not None

    (push,) = ada.pushes()
    assert push["push_token"] == push_token
    assert push["message_id"] == message["id"]
    assert push["data"] == message["data"]


def test_renditions_are_two_small_webp_without_a_trace_of_where_it_was(
    server: Trellis, phones: Phones
) -> None:
    ada = phones.signed_in()
    with Image.open(PHOTO) as original:
        assert original.width * original.height >= 2_000_000
        assert original.getexif().get_ifd(ExifTags.IFD.GPSInfo)

    asset = ada.until_ready(ada.upload()["id"], PATIENCE)

    assert {one["name"] for one in asset["renditions"]} == {"small", "large"}
    for rendition in asset["renditions"]:
        answer = ada.http.get(rendition["url"], headers=ada.headers)
        assert answer.headers["Content-Type"] == "image/webp"
        assert len(answer.content) == rendition["size"] < PHOTO.stat().st_size
        assert chunks(answer.content) <= {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}
        with Image.open(BytesIO(answer.content)) as picture:
            assert picture.format == "WEBP"
            assert picture.size == (rendition["width"], rendition["height"])
            assert max(picture.size) == {"small": 320, "large": 1280}[rendition["name"]]
            assert not picture.getexif()
            assert not {"exif", "xmp", "icc_profile"} & picture.info.keys()

    thumbhash = list(b64decode(asset["thumbhash"], validate=True))
    assert thumb_hash_to_approximate_aspect_ratio(thumbhash) == pytest.approx(16 / 9, abs=0.3)
    assert thumb_hash_to_rgba(thumbhash)


def test_what_only_claims_to_be_a_photo_is_refused(server: Trellis, phones: Phones) -> None:
    ada = phones.signed_in()
    files = {"file": ("photo.jpg", b"This is a letter and no photograph.\n" * 50, "image/jpeg")}

    answer = ada.http.post("/v1/media/assets", headers=ada.headers, files=files)

    refused(answer, 415, "media.unsupported_content")
    assert ada.http.get("/v1/media/assets", headers=ada.headers).json()["items"] == []


def test_a_phone_that_was_offline_gets_what_it_missed_and_nothing_twice(
    server: Trellis, phones: Phones
) -> None:
    ada = phones.signed_in()
    with ada.open_stream() as stream:
        start = int(stream.last_id or 0)
        first = ada.upload()
        seen = stream.up_to(READY, PATIENCE)
        cursor = seen[-1].id
    missed = ada.upload(name="second.jpg")
    ada.until_ready(missed["id"], PATIENCE)
    with ada.open_stream(cursor) as stream:
        ada.http.delete(f"/v1/media/assets/{first['id']}", headers=ada.headers).raise_for_status()
        again = stream.up_to("media.asset_deleted/1", PATIENCE)

    assert missed["id"] in [entry.data["resource_id"] for entry in again if entry.type == READY]
    in_the_feed = server.rows(
        "SELECT position, event_id FROM core_feed_entry"
        " WHERE audience = ? AND position > ? ORDER BY position",
        f"user:{user_id(ada)}",
        start,
    )
    received = [(int(entry.id), UUID(entry.data["id"]).hex) for entry in seen + again]
    assert received == in_the_feed[: len(received)]


def test_downloads_are_conditional_and_come_in_ranges(server: Trellis, phones: Phones) -> None:
    ada = phones.signed_in()
    asset = ada.until_ready(ada.upload()["id"], PATIENCE)
    original = PHOTO.read_bytes()

    def get(url: str, **headers: str) -> httpx2.Response:
        return ada.http.get(url, headers={**ada.headers, **headers})

    whole = get(asset["url"])
    assert whole.status_code == 200
    assert whole.content == original
    assert whole.headers["Cache-Control"].startswith("private")
    for url in (asset["url"], *(rendition["url"] for rendition in asset["renditions"])):
        whole = get(url)
        size, tag = len(whole.content), whole.headers["ETag"]
        unchanged = get(url, **{"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert get(url, **{"If-None-Match": '"another"'}).status_code == 200
        for wanted, part in (
            ("bytes=0-99", slice(0, 100)),
            ("bytes=100-", slice(100, size)),
            ("bytes=-50", slice(size - 50, size)),
        ):
            answer = get(url, Range=wanted)
            assert answer.status_code == 206
            assert answer.content == whole.content[part]
            assert answer.headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/{size}"
        resumed = get(url, **{"Range": "bytes=5-", "If-Range": tag})
        assert (resumed.status_code, resumed.content) == (206, whole.content[5:])
        assert get(url, **{"Range": "bytes=5-", "If-Range": '"another"'}).status_code == 200
        beyond = get(url, Range=f"bytes={size}-")
        refused(beyond, 416, "core.range_not_satisfiable")
        assert beyond.headers["Content-Range"] == f"bytes */{size}"


def test_nobody_else_finds_any_of_it(server: Trellis, phones: Phones) -> None:
    ada, bob = phones.signed_in(), phones.signed_in("Bob's phone")
    ada.register_for_push()
    asset = ada.until_ready(ada.upload()["id"], PATIENCE)
    (message,) = ada.inbox(unread=True)
    (session,) = ada.sessions()

    of_ada = [
        ("GET", f"/v1/media/assets/{asset['id']}"),
        ("GET", asset["url"]),
        *(("GET", rendition["url"]) for rendition in asset["renditions"]),
        ("DELETE", f"/v1/media/assets/{asset['id']}"),
        ("GET", f"/v1/notifications/messages/{message['id']}"),
        ("POST", f"/v1/notifications/messages/{message['id']}/read"),
        ("DELETE", f"/v1/notifications/devices/{ada.installation_id}"),
        ("DELETE", f"/v1/auth/sessions/{session['id']}"),
    ]
    for method, path in of_ada:
        answer = bob.http.request(method, path, headers=bob.headers)
        refused(answer, 404, "core.not_found")
        assert bob.http.request(method, path).status_code == 401
    assert bob.http.get("/v1/media/assets", headers=bob.headers).json()["items"] == []
    assert bob.inbox(unread=False) == []

    # The same calls are good ones for her.
    for method, path in of_ada:
        assert ada.http.request(method, path, headers=ada.headers).is_success, path


def test_events_that_are_sent_twice_count_once(server: Trellis, phones: Phones) -> None:
    ada = phones.signed_in()
    operator = Operator(server.url, *server.operator)
    with closing(operator.http):
        opened, shared = operator.event_count("app_opened"), operator.event_count("photo_shared")
        active = operator.daily_active_users()
        events = analytics_events("app_opened", "photo_shared", "photo_shared")

        assert ada.track(events) == {"accepted": 3, "duplicates": 0, "rejected": []}
        assert ada.track(events) == {"accepted": 0, "duplicates": 3, "rejected": []}

        assert operator.event_count("app_opened") - opened == 1
        assert operator.event_count("photo_shared") - shared == 2
        assert operator.daily_active_users() == active  # who has signed in today is active already
        phones.signed_in().track(events)  # the same ids from another person are other events
        assert operator.event_count("app_opened") - opened == 2
        assert operator.daily_active_users() == active + 1
    report = ada.http.get("/v1/analytics/reports/daily-active-users", headers=ada.headers)
    refused(report, 403, "core.forbidden")


def test_the_demo_walks_it_too(server: Trellis) -> None:
    shown = server.run("demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "✗" not in shown.stdout
    assert f"{server.url}/local/mailbox" in shown.stdout


@pytest.mark.nightly
def test_ready_is_told_within_a_second_of_the_commit(server: Trellis, phones: Phones) -> None:
    ada = phones.signed_in()
    delays = []
    with ada.open_stream() as stream:
        for number in range(20):
            ada.upload(name=f"photo {number}.jpg")
            entry = stream.wait_for(READY, PATIENCE)
            delays.append(time.time() - committed_at(server, entry))
    assert max(delays) < 1.0, sorted(delays)


def committed_at(server: Trellis, entry: StreamEntry) -> float:
    """The database's time at which the entry was written, in seconds of the epoch."""
    ((written,),) = server.rows(
        "SELECT created_at FROM core_feed_entry WHERE event_id = ?", UUID(entry.data["id"]).hex
    )
    return datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()


def chunks(webp: bytes) -> set[bytes]:
    """The kinds of chunks in a WebP file (RIFF: a kind, a length, and content of even length)."""
    assert webp[:4] + webp[8:12] == b"RIFFWEBP"
    kinds, at = set(), 12
    while at < len(webp):
        kinds.add(webp[at : at + 4])
        length = int.from_bytes(webp[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return kinds
