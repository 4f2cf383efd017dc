"""Load of notifications: people who look at the badge, and now and then into the inbox."""

from __future__ import annotations

import uuid
from typing import Any

from locust import task

from trellis_perf.user import TrellisUser


class InboxReader(TrellisUser):
    """Opens the app, sees what is unread, reads the newest, and goes back to old messages."""

    weight = 3

    def on_start(self) -> None:
        """Sign in, and be one installation from then on."""
        super().on_start()
        self.installation_id = str(uuid.uuid4())

    @task(10)
    def see_badge(self) -> None:
        self.call("notifications_count_unread")

    @task(5)
    def read_newest(self) -> None:
        found = self._page("unread", unread="true", limit="5")["items"]
        if found:
            message = {"message_id": found[0]["id"]}
            self.call("notifications_get_message", path=message)
            self.call("notifications_mark_message_read", path=message)

    @task(2)
    def go_back(self) -> None:
        cursor = self._page()["next_cursor"]
        if cursor is not None:
            self._page(cursor=cursor)

    @task(2)
    def turn_pushes_on_and_off(self) -> None:
        path = {"installation_id": self.installation_id}
        token = {"platform": "android", "push_token": uuid.uuid4().hex * 4}
        self.call("notifications_register_device", path=path, json=token)
        self.call("notifications_unregister_device", path=path)

    def _page(self, variant: str = "", **arguments: str) -> dict[str, Any]:
        page = self.call("notifications_list_messages", params=arguments, variant=variant)
        return dict(page.json())
