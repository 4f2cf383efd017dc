"""Who leaves is gone: from every table, every file as it lies on the disk, and the broker."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing

from tests.journeys.traces import traces
from tests.phones import Phones, refused, sign_in, slow_picture, user_id
from tests.processes import PATIENCE, Trellis

from trellis_demo.phone import Phone, analytics_events

NOTED = {("journal of erasures", "user_id")}
"""What a restore has to know: whom to erase again."""


def test_nothing_of_a_person_is_left_and_nothing_of_others_is_missing(
    server: Trellis, phones: Phones
) -> None:
    ada, bob = phones.signed_in("Ada's telephone"), phones.signed_in("Bob's telephone")
    of_ada, of_bob = lived(ada, "Ada's garden.jpg"), lived(bob, "Bob's kitchen.jpg")
    sought = {**of_ada, "device": "Ada's telephone", "filename": "Ada's garden.jpg"}
    secrets = {
        "password": ada.password,
        "refresh token": ada.refresh_token,
        "access token": ada.headers["Authorization"].removeprefix("Bearer "),
    }
    server.until_idle()
    into_the_main_file(server)

    found = traces(server, sought)
    assert {name for _, name in found} == sought.keys()
    assert {where for where, _ in found} >= {
        "table auth_user",
        "table auth_session",
        "table auth_device",
        "table media_asset",
        "table notifications_message",
        "table notifications_registration",
        "table analytics_event",
        "table core_feed_entry",
        "table core_outbox",
        "file mailbox",
        "file objects",
        "file push",
        "file trellis.db",
        "file trellis.db-wal",
        "broker cache",
    }
    assert not traces(server, secrets)
    kept_of_bob = in_tables(server, of_bob)

    with ada.open_stream() as stream:
        erasure = ada.until_erased(ada.delete_account(), PATIENCE)
        stream.wait_for_end(PATIENCE)

    assert all(part["completed_at"] for part in erasure["parts"])
    assert {part["plugin"] for part in erasure["parts"]} == {
        "analytics",
        "auth",
        "core",
        "media",
        "notifications",
        "webhooks",
    }
    assert traces(server, sought) == NOTED
    assert in_tables(server, of_bob) == kept_of_bob
    for never_told in (*secrets.values(), ada.email, of_ada["push_token"]):
        assert never_told not in server.output

    trail = [
        (action, json.loads(details))
        for action, details in server.rows("SELECT action, details FROM core_audit ORDER BY id")
        if erasure["id"] in details
    ]
    assert [action for action, _ in trail] == ["core.erasure_requested", "core.erasure_completed"]
    assert server.rows("SELECT * FROM core_audit WHERE action = 'auth.account_closed'")


def test_a_photo_that_is_decoded_meanwhile_leaves_nothing(server: Trellis, phones: Phones) -> None:
    ada = phones.signed_in()
    known_by = {"user_id": user_id(ada), "asset_id": ada.upload(slow_picture(), "slow.png")["id"]}
    decoder, job = server.stop_a_decoder()

    ada.until_erased(ada.delete_account(), PATIENCE)
    assert traces(server, known_by) == NOTED
    os.kill(decoder, signal.SIGCONT)
    server.until_ended(job)

    server.until_idle()
    assert traces(server, known_by) == NOTED


def test_who_has_left_is_nobody_here(server: Trellis, phones: Phones) -> None:
    ada = phones.signed_in()
    old_id = user_id(ada)
    ada.until_erased(ada.delete_account(), PATIENCE)

    refused(ada.http.get("/v1/auth/account", headers=ada.headers), 401, "core.unauthenticated")
    body = {"password": ada.password}
    again = ada.http.request("DELETE", "/v1/auth/account", headers=ada.headers, json=body)
    refused(again, 401, "core.unauthenticated")
    refresh = ada.http.post("/v1/auth/tokens", json={"refresh_token": ada.refresh_token})
    refused(refresh, 401, "auth.invalid_refresh_token")
    refused(sign_in(ada), 401, "auth.invalid_credentials")
    stream = ada.http.get("/v1/stream", headers=ada.headers)
    refused(stream, 401, "core.unauthenticated")

    ada.verify(ada.sign_up())
    ada.sign_in()
    assert user_id(ada) != old_id


def lived(phone: Phone, filename: str) -> dict[str, str]:
    """Has every plugin and the cache hold something of a person; what it can be known by."""
    push_token = phone.register_for_push()
    asset = phone.until_ready(phone.upload(name=filename)["id"], PATIENCE)
    phone.track(analytics_events("app_opened", "photo_shared"))
    for path in ("/v1/media/assets", asset["url"], "/v1/notifications/unread-count"):
        phone.http.get(path, headers=phone.headers).raise_for_status()
    phone.pushes()
    phone.refresh()
    (session,) = phone.sessions()
    (message,) = phone.inbox(unread=True)
    return {
        "user_id": user_id(phone),
        "email": phone.email,
        "session_id": session["id"],
        "installation_id": phone.installation_id,
        "push_token": push_token,
        "asset_id": asset["id"],
        "message_id": message["id"],
    }


def into_the_main_file(server: Trellis) -> None:
    """Copy SQLite's log into the database's own file, as happens by itself after 1000 pages."""
    with closing(sqlite3.connect(server.data / "trellis.db", timeout=PATIENCE)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0] == 0


def in_tables(server: Trellis, known_by: dict[str, str]) -> set[tuple[str, str]]:
    found = traces(server, known_by)
    return {(where, name) for where, name in found if where.startswith("table ")}
