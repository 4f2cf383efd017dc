"""An S3 server in a process of its own: moto's."""

from __future__ import annotations

import http.client
import os
import sys
from typing import Self

from tests.processes import PATIENCE, free_port, until

from trellis.local import sessions

BUCKET = "trellis-test"
PAGE = 10
"""Keys in one answer to a listing; as it comes it would be 1000."""


class S3:
    """As a context manager it runs for the block, in the thread that began it."""

    def __init__(self) -> None:
        self.port = free_port()

    def __enter__(self) -> Self:
        self._process = sessions.spawn(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
        )
        until(self._answers, "an answer of the S3 server")
        return self

    def __exit__(self, *_: object) -> None:
        sessions.end(self._process, PATIENCE)

    def environ(self, *, prefix: str = "", port: int | None = None) -> dict[str, str]:
        """The settings that lead here; with ``port`` through somebody in between."""
        return {
            "TRELLIS_STORAGE_URL": f"s3://{BUCKET}/{prefix}".rstrip("/"),
            "TRELLIS_STORAGE_ENDPOINT": f"http://127.0.0.1:{port or self.port}",
            "TRELLIS_STORAGE_ACCESS_KEY": "key",
            "TRELLIS_STORAGE_SECRET_KEY": "secret",
        }

    def empty(self) -> None:
        """Forget everything, and make the bucket."""
        for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{BUCKET}")):
            assert self._ask(method, path) == http.client.OK

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "/") == http.client.OK
        except OSError:
            return False

    def _ask(self, method: str, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers={"Content-Type": "application/xml"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
