"""A small client of the event stream (Server-Sent Events), in a thread of its own."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from typing import Any, Self

import httpx2


@dataclass(frozen=True)
class StreamEntry:
    """One entry: its cursor, its type, and its data."""

    id: str
    type: str
    data: dict[str, Any]


class Stream:
    """Follows ``/v1/stream`` until it is closed; `last_id` resumes a later one without a gap."""

    def __init__(self, base_url: str, headers: dict[str, str], last_id: str | None = None) -> None:
        self.last_id = last_id
        self._entries: queue.Queue[StreamEntry] = queue.Queue()
        self._opened = threading.Event()
        self._closed = threading.Event()
        self._url, self._headers = f"{base_url}/v1/stream", headers
        self._client = httpx2.Client(timeout=httpx2.Timeout(10, read=30))
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._opened.wait(10):
            raise TimeoutError("the stream did not open within 10 seconds")
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._client.close()

    def wait_for(self, event_type: str, within: float = 30.0) -> StreamEntry:
        """The next entry of a type. Raises TimeoutError when nothing comes for so many seconds."""
        return self.up_to(event_type, within)[-1]

    def up_to(self, event_type: str, within: float = 30.0) -> list[StreamEntry]:
        """All entries from here to the next of a type. Raises TimeoutError as `wait_for` does."""
        entries: list[StreamEntry] = []
        while not entries or entries[-1].type != event_type:
            try:
                entries.append(self._entries.get(timeout=within))
            except queue.Empty:
                raise TimeoutError(f"no {event_type} within {within:g} seconds") from None
        return entries

    def wait_for_end(self, within: float = 30.0) -> None:
        """Wait until the server ends the stream. Raises TimeoutError when it does not."""
        self._thread.join(within)
        if self._thread.is_alive():
            raise TimeoutError(f"the stream was still open after {within:g} seconds")

    def _follow(self) -> None:
        headers = dict(self._headers)
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        try:
            with self._client.stream("GET", self._url, headers=headers) as response:
                response.raise_for_status()
                self._read(response)
        except (httpx2.HTTPError, RuntimeError, OSError):
            if not self._closed.is_set():
                raise

    def _read(self, response: httpx2.Response) -> None:
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            if "id" in fields:
                self.last_id = fields["id"]
                self._opened.set()
            if "data" in fields:
                entry = StreamEntry(fields["id"], fields["event"], json.loads(fields["data"]))
                self._entries.put(entry)
            fields = {}
