"""The journey of a phone from sign-up to leaving, in the order in which a person lives it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from trellis_demo.operator import Operator
from trellis_demo.phone import PHOTO, Phone, analytics_events

Step = Callable[[str], AbstractContextManager[list[str]]]


def walk(base_url: str, operator: tuple[str, str], step: Step) -> None:
    """Walk it, telling each step; AssertionError or TimeoutError where something is wrong."""
    with ExitStack() as stack:
        ada, bob = Phone(base_url), Phone(base_url, "bob")
        stack.callback(ada.http.close)
        stack.callback(bob.http.close)
        _sign_in(ada, step)
        asset_id = _share_a_photo(ada, step)
        _download(ada, bob, asset_id, step)
        reader = Operator(base_url, *operator)
        stack.callback(reader.http.close)
        _measure(ada, reader, step)
        _leave(ada, step)


def _sign_in(ada: Phone, step: Step) -> None:
    with step("Sign up; a code arrives by mail") as found:
        code = ada.sign_up()
        found.append(f"{ada.email}, code {code}")
    with step("Verify the address, sign in from a named device") as found:
        ada.verify(code)
        tokens = ada.sign_in()
        (session,) = ada.sessions()
        found.append(f"access token for {tokens['expires_in']} s on {session['device']['name']!r}")
    with step("Trade the refresh token for a new pair"):
        ada.refresh()
    with step("Register for push"):
        ada.register_for_push()


def _share_a_photo(ada: Phone, step: Step) -> str:
    with ada.open_stream() as stream:
        with step("Upload a photograph, with the place in its EXIF") as found:
            asset = ada.upload()
            found.append(f"{PHOTO.stat().st_size:,} bytes, state {asset['state']!r}")
        with step("The stream tells that it is ready") as found:
            entry = stream.wait_for("media.asset_ready/1")
            found.append(f"entry {entry.id}: {entry.type}")
        cursor = stream.last_id
    with step("Offline for a moment: a second photograph becomes ready meanwhile"):
        missed = ada.upload(name="second.jpg")
        ada.until_ready(missed["id"])
    with step("Back online with the cursor: nothing was missed"), ada.open_stream(cursor) as stream:
        entry = stream.wait_for("media.asset_ready/1")
        assert entry.data["payload"]["asset_id"] == missed["id"], "another entry came"
    with step("The inbox has a message for each; read one") as found:
        messages = ada.inbox(unread=True)
        assert len(messages) == 2, f"{len(messages)} unread messages"
        ada.read_message(messages[0]["id"])
        assert len(ada.inbox(unread=True)) == 1, "the message is still unread"
        found.append(messages[0]["title"])
    with step("Both were pushed to the device"):
        ada.pushes(2)
    return str(asset["id"])


def _download(ada: Phone, bob: Phone, asset_id: str, step: Step) -> None:
    path = f"/v1/media/assets/{asset_id}/content"
    with step("Download: the whole, a range, and nothing when it is known already") as found:
        whole = ada.http.get(path, headers=ada.headers)
        tag = whole.headers["ETag"]
        part = ada.http.get(path, headers={**ada.headers, "Range": "bytes=0-99"})
        known = ada.http.get(path, headers={**ada.headers, "If-None-Match": tag})
        codes = [whole.status_code, part.status_code, known.status_code]
        assert codes == [200, 206, 304], f"answers {codes}"
        found.append(f"ETag {tag}; 200, 206, 304")
    with step("Renditions: smaller, as WebP, without EXIF") as found:
        for rendition in ada.asset(asset_id)["renditions"]:
            answer = ada.http.get(
                f"/v1/media/assets/{asset_id}/renditions/{rendition['name']}", headers=ada.headers
            )
            assert answer.headers["Content-Type"] == "image/webp", answer.headers["Content-Type"]
            assert b"EXIF" not in answer.content, "EXIF is still there"
            size = f"{rendition['width']} x {rendition['height']}"
            found.append(f"{rendition['name']}: {size}, {len(answer.content):,} bytes")
    with step("Somebody else gets 404"):
        bob.verify(bob.sign_up())
        bob.sign_in("Bob's phone")
        assert bob.http.get(path, headers=bob.headers).status_code == 404, "Bob sees it"


def _measure(ada: Phone, operator: Operator, step: Step) -> None:
    with step("Send events, twice: they count once") as found:
        before = operator.event_count("photo_shared")
        events = analytics_events("app_opened", "photo_shared", "photo_shared")
        ada.track(events)
        again = ada.track(events)
        assert again["duplicates"] == 3, again
        counted = operator.event_count("photo_shared") - before
        assert counted == 2, f"counted {counted}"
        found.append(f"{operator.daily_active_users()} active today")


def _leave(ada: Phone, step: Step) -> None:
    with step("Delete the account: every plugin proves that nothing is left") as found:
        erasure = ada.until_erased(ada.delete_account())
        found += [f"{part['plugin']}: {part['completed_at']}" for part in erasure["parts"]]
    with step("The token is dead"):
        answer = ada.http.get("/v1/auth/account", headers=ada.headers)
        assert answer.status_code == 401, f"answer {answer.status_code}"
