"""A Trellis as it runs in production: a process of each kind, PostgreSQL, Redis, mail and storage.

Everything stands on free ports of this machine, and a proxy stands on every way between two parts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from tests.processes import PATIENCE, free_port, until
from tests.proxy import Proxy
from tests.servers import MailServer, RedisServer
from tests.supervision import Supervised, Supervisor

from trellis.testing.postgresql import DURABLE, PostgreSQL

_DATABASE = "trellis"
_COMMAND = (sys.executable, "-m", "trellis")


class Installation:
    """As a context manager it runs for the block, and is serving when the block begins.

    Requests come through `clients`, streams through `followers`. Web and stream processes reach
    their servers through one pair of proxies, workers and schedulers through another, so that
    either side can be cut off. ``prepare`` is the command that fills the empty database.
    """

    def __init__(
        self,
        *,
        webs: int = 2,
        postgresql: Mapping[str, str] | None = None,
        tablespace: Path | None = None,
        redis: tuple[str, ...] = (),
        storage_url: str | None = None,
        environ: Mapping[str, str] | None = None,
        prepare: tuple[str, ...] = ("db", "upgrade"),
    ) -> None:
        self._prepare = prepare
        self._stack = ExitStack()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._tablespace = tablespace
        self.postgresql = PostgreSQL({**DURABLE, **(postgresql or {})})
        self._stack.callback(self.postgresql.close)
        self.redis = RedisServer(self.directory / "redis", *redis)
        self._stack.callback(self.redis.kill)
        self.mail = MailServer()
        self._stack.callback(self.mail.close)
        self.database_of_web, self.database_of_work = (
            self._proxy(self.postgresql.port) for _ in range(2)
        )
        self.redis_of_web, self.redis_of_work = (self._proxy(self.redis.port) for _ in range(2))
        ports = [free_port() for _ in range(webs)]
        stream_port = free_port()
        self.clients, self.followers = self._proxy(*ports), self._proxy(stream_port)
        self.url = f"http://127.0.0.1:{self.clients.port}"
        self.stream_url = f"http://127.0.0.1:{self.followers.port}"
        self.addresses = {f"web{n}": f"http://127.0.0.1:{p}" for n, p in enumerate(ports, 1)}
        """Of each web process, past the proxy."""

        self.intact = True
        """Whether it is as it was made, for whoever would use it next."""

        self._common = self._environ(storage_url, environ or {})
        of_web = self._ways(self.database_of_web, self.redis_of_web)
        of_work = self._ways(self.database_of_work, self.redis_of_work)
        self.supervisor = Supervisor()
        self._stack.callback(self.supervisor.close)
        self.webs = [
            self._process(f"web{number}", of_web, "web", TRELLIS_PORT=str(port))
            for number, port in enumerate(ports, 1)
        ]
        self.stream = self._process("stream", of_web, "stream", TRELLIS_PORT=str(stream_port))
        self.light = self._process("light", of_work, "worker", "light")
        self.heavy = self._process("heavy", of_work, "worker", "heavy")
        self.scheduler = self._process("scheduler", of_work, "scheduler")
        self.processes = [*self.webs, self.stream, self.light, self.heavy, self.scheduler]

    def __enter__(self) -> Installation:
        try:
            self.postgresql.start()
            self._create_database()
            self.redis.start()
            prepared = self.run(*self._prepare)
            assert prepared.returncode == 0, prepared.stderr
            self.supervisor.start(*self.processes)
            until(self.healthy, "a healthy installation")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def another(self, name: str, *command: str, **environ: str) -> Iterator[Supervised]:
        """One process more for the block: ``another("light2", "worker", "light")``."""
        ways = self._ways(self.database_of_work, self.redis_of_work)
        process = self._process(name, ways, *command, **environ)
        self.supervisor.start(process)
        try:
            yield process
        finally:
            self.supervisor.stop(process)

    # --- what it is asked and told --------------------------------------------------------------

    def run(
        self, *arguments: str, told: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """One command of the installation to its end, past all proxies; it reads ``told``."""
        ways = {
            "TRELLIS_DATABASE_URL": self.postgresql.url(_DATABASE),
            "TRELLIS_REDIS_URL": self.redis.url(),
        }
        return subprocess.run(
            [*_COMMAND, *arguments],
            env={**self._common, **ways, **environ},
            input=told,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database itself."""
        return self.postgresql.execute(query, _DATABASE)

    def health(self, web: str) -> tuple[int, str]:
        """What one web process says of itself: status code, and ``ok``, ``degraded`` or a code.

        (0, "") when it says nothing at all.
        """
        try:
            answer = httpx2.get(f"{self.addresses[web]}/health/ready", timeout=5)
            told = answer.json()
        except (httpx2.TransportError, ValueError):
            return 0, ""
        return answer.status_code, str(told.get("code") or told["status"])

    def all_say(self, status: int, word: str | None = None) -> bool:
        """Whether every web process gives this answer to the question for its health."""
        told = [self.health(web) for web in self.addresses]
        return all(said[0] == status and word in (None, said[1]) for said in told)

    def healthy(self) -> bool:
        """Whether every process runs and every web process says that all is well."""
        return all(process.running for process in self.processes) and self.all_say(200, "ok")

    def undone(self) -> list[tuple[Any, ...]]:
        """Durable work that is left, or was given up; not what is due later."""
        return self.rows(
            "SELECT task, due_at, leased_until, fence, error, dead_at FROM core_outbox"
            " WHERE done_at IS NULL"
        )

    # --- how it is put together -----------------------------------------------------------------

    def _create_database(self) -> None:
        where = ""
        if self._tablespace is not None:
            self.postgresql.execute(f"CREATE TABLESPACE elsewhere LOCATION '{self._tablespace}'")
            where = " TABLESPACE elsewhere"
        self.postgresql.execute(f"CREATE DATABASE {_DATABASE}{where}")

    def _proxy(self, *ports: int) -> Proxy:
        proxy = Proxy(*ports)
        self._stack.callback(proxy.close)
        return proxy

    def _process(
        self, name: str, ways: Mapping[str, str], *command: str, **environ: str
    ) -> Supervised:
        environ = {**self._common, **ways, **environ}
        return Supervised(name, [*_COMMAND, *command], environ, self.directory)

    def _ways(self, database: Proxy, redis: Proxy) -> dict[str, str]:
        return {
            "TRELLIS_DATABASE_URL": self.postgresql.url(_DATABASE, port=database.port),
            "TRELLIS_REDIS_URL": self.redis.url(port=redis.port),
        }

    def _environ(self, storage_url: str | None, more: Mapping[str, str]) -> dict[str, str]:
        settings = self.directory / "trellis.toml"
        settings.touch()
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "TRELLIS_CONFIG": str(settings),
            "TRELLIS_ENVIRONMENT": "production",
            "TRELLIS_DATA_DIR": str(self.directory / "var"),
            "TRELLIS_STORAGE_URL": storage_url or f"file://{self.directory}/objects",
            "TRELLIS_PUBLIC_URL": self.url,
            "TRELLIS_SECRET_KEYS": '["a-key-of-the-fault-tests-32-bytes"]',
            "TRELLIS_NOTIFICATIONS__MAIL_URL": f"smtp://127.0.0.1:{self.mail.port}?starttls=off",
            "TRELLIS_NOTIFICATIONS__MAIL_FROM": "us@example.com",
            **more,
        }
