"""The world of one test process: data directory, broker, application, and a way to start afresh."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from trellis.app import create_app
from trellis.cache import current_cache
from trellis.db import migrations
from trellis.db.base import db
from trellis.local.broker import Broker
from trellis.runtime import Runtime
from trellis.testing.databases import Database


class Environment:
    """An application over a migrated database that every test gets unused.

    ``variables`` are the settings of the application, for processes that a test starts beside it:
    they are in force nowhere else, so that two of these can live in one test process.
    """

    def __init__(
        self, data_dir: Path, app: Flask, database: Database, variables: dict[str, str]
    ) -> None:
        self.data_dir, self.app, self.variables = data_dir, app, variables
        self._database = database
        self._used = False
        self._ports = dict(self._runtime.ports)

    @classmethod
    @contextmanager
    def started(
        cls,
        data_dir: Path,
        database: Database,
        redis_url: str | None = None,
        *,
        cache_local_bytes: int = 0,
    ) -> Iterator[Environment]:
        """Start a broker, if none is given, make the application and migrate its database.

        Its process keeps nothing of the cache for itself but so many bytes.
        """
        with Broker(data_dir, redis_url) as broker:
            (data_dir / "trellis.toml").touch()
            variables = {
                "TRELLIS_CONFIG": str(data_dir / "trellis.toml"),
                "TRELLIS_ENVIRONMENT": "testing",
                "TRELLIS_DATA_DIR": str(data_dir),
                "TRELLIS_DATABASE_URL": database.url,
                "TRELLIS_REDIS_URL": broker.url,
                "TRELLIS_CACHE_LOCAL_BYTES": str(cache_local_bytes),
            }
            with pytest.MonkeyPatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                app = create_app()
            with app.app_context():
                migrations.upgrade()
            environment = cls(data_dir, app, database, variables)
            environment.disconnect()
            database.save()
            yield environment
            environment.disconnect()

    @property
    def _runtime(self) -> Runtime:
        runtime: Runtime = self.app.extensions["trellis"]
        return runtime

    def reset(self) -> None:
        """Undo what the test before did: in the database, the broker, the storage and the sinks."""
        self._runtime.announcer.settle()
        self._runtime.redis.flushall()
        with self.app.app_context():
            current_cache().first.clear()
        if self._used:
            self._database.restore(self.disconnect)
            self._runtime.ports = dict(self._ports)
            for directory in ("objects", "mailbox", "push"):
                for entry in (self.data_dir / directory).glob("*"):
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._used = True

    def disconnect(self) -> None:
        """Close the connections that the application keeps for later."""
        with self.app.app_context():
            db.engine.dispose()
