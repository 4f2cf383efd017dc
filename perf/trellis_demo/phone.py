"""What one phone does with the API; each method is a step of the journey and checks its answer."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from trellis_demo.stream import Stream

PHOTO = Path(__file__).parent / "photo.jpg"
_POLL_SECONDS = 0.05


class Phone:
    """A person with one installation of the app."""

    def __init__(self, base_url: str, person: str = "ada") -> None:
        self.base_url = base_url.rstrip("/")
        self.http = httpx2.Client(base_url=self.base_url, timeout=30)
        self.email = f"{person}.{secrets.token_hex(6)}@example.com"
        self.password = secrets.token_urlsafe(16)
        self.installation_id = str(uuid.uuid4())
        self.headers: dict[str, str] = {}
        self.refresh_token = ""

    def sign_up(self) -> str:
        """Sign up; returns the verification code that arrives by mail."""
        body = {"email": self.email, "password": self.password}
        self._call("POST", "/v1/auth/accounts", 202, json=body)
        mail = self._until(lambda: self._mails()[:1])[0]
        code = re.search(r"\b\d{6}\b", mail["text"])
        if code is None:
            raise AssertionError(f"no code in the mail: {mail['text']!r}")
        return code.group()

    def verify(self, code: str) -> None:
        """Prove that the address is ours."""
        body = {"email": self.email, "code": code}
        self._call("POST", "/v1/auth/accounts/verify", 204, json=body)

    def sign_in(self, device_name: str = "Ada's phone") -> dict[str, Any]:
        """Sign in from a named device; later calls carry the access token."""
        device = {
            "installation_id": self.installation_id,
            "name": device_name,
            "platform": "android",
        }
        body = {"email": self.email, "password": self.password, "device": device}
        return self._remember(self._call("POST", "/v1/auth/sessions", 201, json=body))

    def refresh(self) -> dict[str, Any]:
        """Trade the refresh token for a new pair."""
        body = {"refresh_token": self.refresh_token}
        return self._remember(self._call("POST", "/v1/auth/tokens", 200, json=body))

    def sessions(self) -> list[dict[str, Any]]:
        """The list of sessions, each with its device."""
        return list(self._call("GET", "/v1/auth/sessions", 200)["items"])

    def register_for_push(self) -> str:
        """Register this installation's push token."""
        token = secrets.token_hex(32)
        path = f"/v1/notifications/devices/{self.installation_id}"
        self._call("PUT", path, 200, json={"platform": "android", "push_token": token})
        return token

    def open_stream(self, last_id: str | None = None) -> Stream:
        """Connect to the event stream."""
        return Stream(self.base_url, self.headers, last_id)

    def upload(self, content: bytes | None = None, name: str = "photo.jpg") -> dict[str, Any]:
        """Upload a photograph; returns the asset, still processing."""
        files = {"file": (name, content or PHOTO.read_bytes(), "image/jpeg")}
        return dict(self._call("POST", "/v1/media/assets", 201, files=files))

    def asset(self, asset_id: str) -> dict[str, Any]:
        """One asset."""
        return dict(self._call("GET", f"/v1/media/assets/{asset_id}", 200))

    def until_ready(self, asset_id: str, within: float = 60.0) -> dict[str, Any]:
        """Wait until the renditions of an asset are made."""
        return dict(
            self._until(
                lambda: asset if (asset := self.asset(asset_id))["state"] == "ready" else None,
                within,
            )
        )

    def inbox(self, *, unread: bool) -> list[dict[str, Any]]:
        """Messages in the inbox."""
        query = {"unread": "true"} if unread else {}
        return list(self._call("GET", "/v1/notifications/messages", 200, params=query)["items"])

    def read_message(self, message_id: str) -> None:
        """Mark a message as read."""
        self._call("POST", f"/v1/notifications/messages/{message_id}/read", 204)

    def pushes(self, count: int = 1) -> list[dict[str, Any]]:
        """The pushes that the sink shows for this installation, once there are that many."""

        def arrived() -> list[dict[str, Any]] | None:
            shown = self._call("GET", "/local/push", 200, headers={"Accept": "application/json"})
            pushes = [shown_push["push"] for shown_push in shown["items"]]
            ours = [p for p in pushes if p["installation_id"] == self.installation_id]
            return ours if len(ours) >= count else None

        return list(self._until(arrived))

    def track(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Send a batch of analytics events."""
        return dict(self._call("POST", "/v1/analytics/events", 202, json={"events": events}))

    def delete_account(self) -> str:
        """Leave; returns the id of the erasure."""
        body = {"password": self.password}
        return str(self._call("DELETE", "/v1/auth/account", 202, json=body)["erasure_id"])

    def until_erased(self, erasure_id: str, within: float = 60.0) -> dict[str, Any]:
        """Wait until every plugin has proved that it holds nothing any more."""

        def complete() -> dict[str, Any] | None:
            state = self._call("GET", f"/v1/erasures/{erasure_id}", 200)
            return dict(state) if state["completed_at"] else None

        return dict(self._until(complete, within))

    def _remember(self, tokens: dict[str, Any]) -> dict[str, Any]:
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.refresh_token = tokens["refresh_token"]
        return tokens

    def _mails(self) -> list[dict[str, Any]]:
        shown = self._call(
            "GET", "/local/mailbox", 200,
            params={"to": self.email}, headers={"Accept": "application/json"},
        )  # fmt: skip
        return list(shown["items"])

    def _call(self, method: str, path: str, status: int, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        response = self.http.request(method, path, headers=headers, **options)
        if response.status_code != status:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None

    @staticmethod
    def _until(look: Callable[[], Any], within: float = 30.0) -> Any:
        deadline = time.monotonic() + within
        while not (seen := look()):
            if time.monotonic() > deadline:
                raise TimeoutError("it did not happen in time")
            time.sleep(_POLL_SECONDS)
        return seen


def analytics_events(*names: str) -> list[dict[str, Any]]:
    """A batch of events that happen now."""
    now = datetime.now(UTC).isoformat()
    return [
        {
            "id": str(uuid.uuid4()),
            "name": name,
            "occurred_at": now,
            "properties": {"screen": "demo"},
        }
        for name in names
    ]
