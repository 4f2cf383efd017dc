"""Two stream processes on PostgreSQL and Redis, and people who write and read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from uuid import UUID

import httpx2
from tests.core.stream.follower import Follower
from tests.processes import PATIENCE, free_port, until
from tests.servers import RedisServer

from trellis.contracts import Identity, port
from trellis.events import Event, user_audience
from trellis.testing.environment import Environment
from trellis.testing.postgresql import PostgreSQL
from trellis.unit_of_work import unit_of_work
from trellis_auth import factories
from trellis_auth.services import endings


@dataclass(frozen=True)
class NoteWritten(Event):
    """An event of these tests; ``text`` may be long."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Literal["created"]] = "created"
    number: int
    reader_id: UUID
    text: str = ""

    def resource_id(self) -> str:
        return str(self.number)

    def audience(self) -> str:
        return user_audience(self.reader_id)


class Process:
    """One `trellis stream`."""

    def __init__(self, log: Path, variables: Mapping[str, str]) -> None:
        number = free_port()
        self.url = f"http://127.0.0.1:{number}"
        environ = {
            **os.environ,
            **variables,
            "TRELLIS_PORT": str(number),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trellis", "stream"],
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> bool:
        assert self.process.poll() is None
        with suppress(httpx2.TransportError):
            return httpx2.get(f"{self.url}/health/live").status_code == 200
        return False

    def pids(self) -> list[int]:
        """Its own, and before it those of its children."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [*map(int, children), pid]

    def send(self, how: signal.Signals) -> None:
        """What ends it without a word goes to its children as well."""
        for pid in [self.process.pid] if how is signal.SIGTERM else self.pids():
            os.kill(pid, how)

    def stop(self) -> int:
        """What an upgrade does; returns the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Rig:
    """The servers, two stream processes, and people who write and read."""

    def __init__(
        self, environment: Environment, server: PostgreSQL, redis: RedisServer, log: Path
    ) -> None:
        self.app, self.server, self.redis, self._log = environment.app, server, redis, log
        self._variables = {
            **environment.variables,
            "TRELLIS_PUBLIC_URL": self.app.extensions["trellis"].settings.core.base_url,  # issuer
            "TRELLIS_REDIS_URL": redis.url(),
        }
        self.app.extensions["trellis"].event_types[NoteWritten] = "core.note_written/1"
        self.first, self.second = self.start(), self.start()
        until(lambda: self.first.ready() and self.second.ready(), "two stream processes")
        self.followers: list[Follower] = []

    def start(self) -> Process:
        return Process(self._log, self._variables)

    def urls(self) -> list[str]:
        """Where streams are served now, or soon."""
        return [self.first.url, self.second.url]

    def restart_at_once(self, how: signal.Signals) -> None:
        """End both processes and start two others, without waiting for either."""
        ending = [self.first, self.second]
        for process in ending:
            process.send(how)
        self.first, self.second = self.start(), self.start()
        for process in ending:
            process.process.wait(PATIENCE)

    def person(self) -> tuple[UUID, str]:
        """A new person, and an access token of theirs."""
        with self.app.app_context():
            self._seed = getattr(self, "_seed", 0) + 1
            [user_id] = factories.users(1, seed=self._seed)
            [tokens] = factories.sessions([user_id])
            return user_id, tokens.access_token

    def write(self, reader: UUID, *numbers: int, text: str = "") -> None:
        with self.app.app_context(), unit_of_work() as uow:
            for number in numbers:
                uow.publish(NoteWritten(number, reader, text))

    def follow(self, process: Process, token: str, last: int | None = None) -> Follower:
        self.followers.append(follower := Follower(process.url, token, last))
        return follower.read()

    def end_session(self, user_id: UUID, token: str) -> None:
        with self.app.app_context():
            principal = port(Identity).authenticate(f"Bearer {token}")
            assert principal is not None
            assert principal.session_id is not None
            endings.end_own_session(user_id, principal.session_id)
