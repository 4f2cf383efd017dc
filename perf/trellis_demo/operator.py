"""What the operator of a laptop's Trellis does with the API."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import httpx2


class Operator:
    """Signed in as the first operator."""

    def __init__(self, base_url: str, email: str, password: str) -> None:
        self.http = httpx2.Client(base_url=base_url.rstrip("/"), timeout=30)
        device = {"installation_id": str(uuid.uuid4()), "name": "console", "platform": "web"}
        body = {"email": email, "password": password, "device": device}
        answer = self.http.post("/v1/auth/sessions", json=body)
        answer.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def daily_active_users(self) -> int:
        """How many people were active today (UTC)."""
        return sum(day["users"] for day in self._report("daily-active-users"))

    def event_count(self, name: str) -> int:
        """How often an event happened today (UTC)."""
        rows = [row for day in self._report("event-counts") for row in day["events"]]
        return sum(row["count"] for row in rows if row["name"] == name)

    def _report(self, name: str) -> list[dict[str, Any]]:
        today = datetime.now(UTC).date().isoformat()
        query = {"from": today, "to": today}
        answer = self.http.get(f"/v1/analytics/reports/{name}", params=query)
        answer.raise_for_status()
        return list(answer.json()["days"])
