"""Servers that an installation needs beside PostgreSQL: Redis or Valkey, and one for mail."""

from __future__ import annotations

import asyncio
import email
import re
import socket
import subprocess
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP
from redis import Redis, RedisError
from tests.loops import LoopThread
from tests.processes import PATIENCE, free_port, until

from trellis.local import sessions
from trellis.local.broker_binary import find_server


class RedisServer:
    """Keeps nothing on disk, so each start begins empty; `start` may follow `stop` and `kill`.

    The thread that starts it must live as long as it.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._argv = [
            *(str(find_server()), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(directory), "--logfile", str(directory / "server.log")),
            *("--appendonly", "no", "--save", "", "--maxmemory", "256mb"),
            *("--maxmemory-policy", "volatile-ttl", *options),
        ]

    def url(self, *, port: int | None = None) -> str:
        """Its address; with ``port`` through somebody in between."""
        return f"redis://127.0.0.1:{port or self.port}/0"

    @property
    def pid(self) -> int:
        """The process of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = sessions.spawn(self._argv)
        until(self._answers, "an answer of Redis")

    def stop(self) -> None:
        """What SIGTERM does."""
        if self._process is not None:
            sessions.end(self._process, PATIENCE)
            self._process = None

    def kill(self) -> None:
        """SIGKILL: everything in it is gone."""
        if self._process is not None:
            sessions.kill(self._process.pid)
            self._process.wait(PATIENCE)
            self._process = None

    def client(self, database: int = 0) -> Redis:
        """A client, past everybody in between: database 0 is the queue's, 1 the cache's."""
        return Redis(port=self.port, db=database)

    def _answers(self) -> bool:
        with suppress(RedisError), self.client() as client:
            return bool(client.ping())
        return False


class MailServer:
    """Takes every mail and keeps it in memory."""

    def __init__(self) -> None:
        self._mails: dict[str, list[EmailMessage]] = {}
        self._thread = LoopThread()
        self._server = self._thread.run(self._listen())
        self.port = int(self._server.sockets[0].getsockname()[1])

    def mails(self, address: str) -> list[EmailMessage]:
        """The mails to one address, in the order in which they came."""
        return self._mails.get(address, [])

    def code(self, address: str) -> str | None:
        """The six digits of the latest mail to an address."""
        mails = self.mails(address)
        found = re.search(r"\b\d{6}\b", mails[-1].get_content()) if mails else None
        return found.group() if found else None

    def close(self) -> None:
        """Take no more."""
        self._thread.call(self._server.close)
        self._thread.close()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """What aiosmtpd calls for each mail."""
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        for address in envelope.rcpt_tos:
            self._mails.setdefault(address, []).append(message)
        return "250 OK"

    async def _listen(self) -> asyncio.Server:
        listener = socket.create_server(("127.0.0.1", 0))
        return await self._thread.loop.create_server(
            lambda: SMTP(self, hostname="test", loop=self._thread.loop), sock=listener
        )
