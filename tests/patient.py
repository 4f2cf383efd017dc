"""A phone that does not give up: it repeats what was not acknowledged, under the same key."""

from __future__ import annotations

import hashlib
import random
import threading
import time
import uuid
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx2
from tests.installation import Installation
from tests.journal import Call, Journal
from tests.processes import PATIENCE, until

from trellis_demo.phone import Phone, analytics_events
from trellis_demo.stream import Stream, StreamEntry

_READY = "media.asset_ready/1"
_TIMEOUT = 10.0
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0
_BUSY = (409, 425, 429)
"""With Retry-After: the first try is still under way, or there were too many."""


class PatientPhone(Phone):
    """A phone of an installation; what it was told stands in `journal` and in the lists below."""

    def __init__(self, installation: Installation, journal: Journal, person: str) -> None:
        super().__init__(installation.url, person)
        self.http.timeout = httpx2.Timeout(_TIMEOUT)
        self._mail, self._journal = installation.mail, journal
        self._gone = threading.Event()
        self.user_id = ""
        self.uploads: dict[str, str] = {}
        """SHA-256 of each picture that was taken, by the id of its asset."""
        self.batches: list[list[str]] = []
        """The ids of the events of each batch that was taken."""
        self.read: set[str] = set()
        """Messages that were marked as read."""
        self.push_token = ""
        self.follower = Follower(installation.stream_url, self, journal)

    def join(self) -> None:
        """Sign up, sign in and follow the stream."""
        self.verify(self.sign_up())
        self.join_verified()

    def join_verified(self) -> None:
        """The same, after the address was verified."""
        self.sign_in()
        self.user_id = str(self._call("GET", "/v1/auth/account", 200)["id"])
        self.push_token = self.register_for_push()
        self.follower.__enter__()

    def leave(self) -> None:
        """End what is under way; nothing is told to the server."""
        self._gone.set()
        self.follower.__exit__()
        self.http.close()

    # --- the steps that the journal is about ----------------------------------------------------

    def sign_up(self) -> str:
        self._call(
            "POST", "/v1/auth/accounts", 202, json={"email": self.email, "password": self.password}
        )
        return until(lambda: self._mail.code(self.email), "a mail with a code")

    def send_picture(self, content: bytes) -> str:
        """Upload; the id of the asset."""
        asset_id = str(self.upload(content, "picture.jpg")["id"])
        assert asset_id not in self.uploads, "two uploads were answered with one asset"
        self.uploads[asset_id] = hashlib.sha256(content).hexdigest()
        return asset_id

    def ready(self) -> Counter[str]:
        """How often the stream told of each picture that it is ready."""
        seen = self.follower.seen()
        return Counter(str(entry.data["resource_id"]) for entry in seen if entry.type == _READY)

    def send_events(self, *names: str) -> None:
        """Track a batch, whole or not at all."""
        events = analytics_events(*names)
        receipt = self.track(events)
        assert receipt["accepted"] + receipt["duplicates"] == len(events), receipt
        self.batches.append([event["id"] for event in events])

    def look_at_inbox(self) -> None:
        """Read the newest unread message."""
        for message in self.inbox(unread=True)[:1]:
            self.read_message(message["id"])
            self.read.add(message["id"])

    def change_push_token(self) -> None:
        """What phones do now and then."""
        self.push_token = self.register_for_push()

    # --- how it calls ---------------------------------------------------------------------------

    def _call(self, method: str, path: str, status: int, **options: Any) -> Any:
        key = str(uuid.uuid4())
        headers = {**self.headers, **options.pop("headers", {})}
        if method != "GET":
            headers["Idempotency-Key"] = f'"{key}"'
        with self._journal.call(f"{method} {_template(path)}", key) as call:
            return self._until_answered(
                call, status, lambda: self.http.request(method, path, headers=headers, **options)
            )

    def _until_answered(self, call: Call, status: int, request: Any) -> Any:
        wait, deadline = _FIRST_WAIT, time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline, f"never acknowledged: {call}"
            asked = 0.0
            try:
                answer: httpx2.Response = request()
            except httpx2.TransportError:
                call.answers.append(0)
            else:
                call.answers.append(answer.status_code)
                if answer.status_code == status:
                    return answer.json() if answer.content else None
                asked = self._judge(call, answer)
            self._gone.wait(max(asked, wait * random.uniform(0.5, 1.5)))
            wait = min(2 * wait, _LONGEST_WAIT)

    def _judge(self, call: Call, answer: httpx2.Response) -> float:
        """For how many seconds to wait. Raises AssertionError for an answer that is final."""
        retry_after = answer.headers.get("Retry-After")
        told = f"{call.operation}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code >= 500 and (answer.status_code != 503 or retry_after is None):
            self._journal.blame(told)
        elif answer.status_code < 500 and (answer.status_code not in _BUSY or retry_after is None):
            raise AssertionError(told)
        return min(float(retry_after or 0), _LONGEST_WAIT)


class Follower(Stream):
    """Follows the stream for as long as its phone lives: it comes back to where it was cut off."""

    def __init__(self, base_url: str, phone: Phone, journal: Journal) -> None:
        super().__init__(base_url, phone.headers)
        self._phone, self._journal = phone, journal
        self._seen: list[StreamEntry] = []

    def _follow(self) -> None:
        while not self._closed.is_set():
            self._headers = self._phone.headers
            try:
                super()._follow()
            except httpx2.HTTPStatusError as error:
                answer = error.response
                # 401: the phone has signed in anew meanwhile, and comes back as that.
                documented = answer.status_code == 503 and "Retry-After" in answer.headers
                if answer.status_code != 401 and not documented:
                    self._journal.blame(f"stream: {answer.status_code}")
            except (httpx2.HTTPError, RuntimeError, OSError):
                pass
            self._closed.wait(_FIRST_WAIT)

    def seen(self) -> list[StreamEntry]:
        """Everything that came so far, in its order."""
        while not self._entries.empty():
            self._seen.append(self._entries.get())
        return self._seen


def _template(path: str) -> str:
    """The path with a placeholder for each id in it."""
    parts = []
    for part in path.split("/"):
        with suppress(ValueError):
            uuid.UUID(part)
            part = "{id}"  # noqa: PLW2901 (the placeholder takes the place of what it stands for)
        parts.append(part)
    return "/".join(parts)
