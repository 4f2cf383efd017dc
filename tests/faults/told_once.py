"""What must be true of each photo at the end, whatever was killed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from tests.processes import PATIENCE, Trellis

from trellis_demo.phone import Phone


def assert_told_once(trellis: Trellis, phone: Phone, asset_ids: Collection[str]) -> None:
    """Each of these photos is ready, and its owner was told of it once in every way.

    They are all that the phone has, and it is registered for push.
    """
    for asset_id in asset_ids:
        phone.until_ready(asset_id, PATIENCE)
    trellis.until_idle()
    once = dict.fromkeys(asset_ids, 1)

    assert len(once) <= 100, "more than one page of messages"
    messages = phone.http.get(
        "/v1/notifications/messages", headers=phone.headers, params={"limit": 100}
    ).json()["items"]
    assert Counter(message["data"]["asset_id"] for message in messages) == once

    ready = trellis.rows(
        "SELECT resource_id FROM core_feed_entry WHERE type = 'media.asset_ready/1'"
        f" AND resource_id IN ({', '.join('?' * len(once))})",
        *once,
    )
    assert Counter(resource_id for (resource_id,) in ready) == once

    # A push leaves the house, so it may be repeated; by its id whoever gets it knows the repeat.
    pushes = {push["id"]: push["data"]["asset_id"] for push in phone.pushes(len(once))}
    assert Counter(pushes.values()) == once
