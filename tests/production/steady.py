"""Clients that never stop: safe and unsafe requests over kept connections, each failure noted."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Self

import httpx2
from tests.processes import PATIENCE, until


class Steady:
    """As a context manager it sends for the block, from as many threads as there are ``clients``.

    A client does not repeat a request: whatever does not come back as it should is a failure.
    """

    def __init__(self, url: str, headers: dict[str, str], clients: int = 4) -> None:
        self._url, self._headers = url, headers
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._clients = clients
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._send) for _ in range(self._clients)]
        self.until_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pool.shutdown()
        for running in self._running:
            running.result(PATIENCE)

    def until_more(self, count: int = 100) -> None:
        """Wait until so many more requests were answered."""
        goal = self.answered.total() + count
        until(lambda: self.answered.total() >= goal or bool(self.failures), "more answers")

    def _send(self) -> None:
        with httpx2.Client(base_url=self._url, headers=self._headers, timeout=PATIENCE) as client:
            while not self._ended.is_set():
                self._try("read", client, "GET", "/v1/auth/sessions", 200)
                answer = self._try(
                    "write", client, "POST", "/v1/analytics/events", 202, json=_batch()
                )
                # A request that was sent twice would be a duplicate here.
                if answer is not None and (answer["accepted"], answer["duplicates"]) != (1, 0):
                    self.failures.append(f"write: {answer}")

    def _try(
        self, what: str, client: httpx2.Client, method: str, path: str, status: int, **more: Any
    ) -> Any:
        try:
            answer = client.request(method, path, **more)
        except httpx2.TransportError as fault:
            self.failures.append(f"{what}: {fault!r}")
            return None
        if answer.status_code != status:
            self.failures.append(f"{what}: {answer.status_code} {answer.text[:200]}")
            return None
        self.answered[what] += 1
        return answer.json()


def _batch() -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    event = {"id": str(uuid.uuid4()), "name": "steady", "occurred_at": now, "properties": {}}
    return {"events": [event]}
