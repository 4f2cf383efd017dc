"""Load of the guestbook: many read, some write."""

from __future__ import annotations

from locust import task
from trellis_perf.user import TrellisUser


class GuestbookVisitor(TrellisUser):
    """Reads the newest entries, and now and then writes one."""

    weight = 1

    @task(5)
    def read(self) -> None:
        """Look at the first page."""
        self.call("guestbook_list_entries")

    @task(1)
    def write(self) -> None:
        """Write a few words, look at them, and take them back."""
        written = self.call("guestbook_write_entry", json={"text": "I was here."})
        entry = {"entry_id": written.json()["id"]}
        self.call("guestbook_get_entry", path=entry)
        self.call("guestbook_delete_entry", path=entry)
