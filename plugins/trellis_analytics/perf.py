"""Load of analytics: apps that send what people did, and operators who read reports."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

from locust import between, task

from trellis_perf.user import OperatorUser, TrellisUser

_BATCH = 10
_NAMES = ("load_opened", "load_viewed", "load_searched")


class TrackedUser(TrellisUser):
    """Sends batches of events."""

    weight = 3

    @task
    def track(self) -> None:
        now = datetime.now(UTC).isoformat()
        events = [
            {
                "id": str(uuid.uuid4()),
                "name": random.choice(_NAMES),
                "occurred_at": now,
                "properties": {"screen": "home"},
            }
            for _ in range(_BATCH)
        ]
        self.call("analytics_track", json={"events": events})


class ReportReader(OperatorUser):
    """Looks at the reports of the last month."""

    weight = 1
    wait_time = between(0.5, 1.5)

    @task
    def read(self) -> None:
        today = datetime.now(UTC).date()
        days = {"from": str(today - timedelta(days=29)), "to": str(today)}
        self.call("analytics_daily_active_users", params=days)
        self.call("analytics_event_counts", params=days)
