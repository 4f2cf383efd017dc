"""What the tests of backups share: people with pictures, and places for objects and sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from flask import Flask
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from sqlalchemy import Table, select

from trellis.contracts import BlobStore
from trellis.db import Model, fetch_all
from trellis.runtime import Runtime
from trellis.settings import Settings
from trellis.storage import ObjectStorage
from trellis_auth import factories as auth
from trellis_auth.services import Tokens
from trellis_backup.target import Target
from trellis_media import factories as media

KEY = "a-key-of-the-backup-tests-of-32-bytes"
OTHER_KEY = "another-key-of-the-tests-of-32-bytes"

Contents = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, Any]]:
    """Settings of a storage server with the buckets ``objects`` and ``backups``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        for bucket in ("objects", "backups"):
            httpx2.put(f"{endpoint}/{bucket}").raise_for_status()
        yield {
            "storage_endpoint": endpoint,
            "storage_region": "us-east-1",
            "storage_access_key": "key",
            "storage_secret_key": SecretStr("secret"),
        }
    finally:
        server.stop()


class Place:
    """An application's storage, and a place for its sets."""

    def __init__(self, app: Flask, core: Settings, address: str) -> None:
        self.core, self.address = core, address
        self.storage = ObjectStorage(core)
        runtime: Runtime = app.extensions["trellis"]
        runtime.ports[BlobStore] = self.storage

    def target(self, key: str | None = KEY) -> Target:
        """The sets, read and written under a key."""
        secret = None if key is None else SecretStr(key)
        return Target(self.core.model_copy(update={"backup_key": secret}), self.address)

    @property
    def sets(self) -> ObjectStorage:
        """The files of the sets as they are."""
        return ObjectStorage(self.core.model_copy(update={"storage_url": self.target().address}))

    def files(self) -> dict[str, bytes]:
        """Every file of every set, as it is."""
        sets = self.sets
        return {name: b"".join(sets.read(name)) for name in sets.list("")}


@pytest.fixture
def place(app: Flask, tmp_path: Path) -> Place:
    """Objects and sets in directories."""
    core: Settings = app.extensions["trellis"].settings.core
    return Place(app, core, str(tmp_path / "backups"))


@pytest.fixture(params=["files", "s3"])
def any_place(request: pytest.FixtureRequest, app: Flask, tmp_path: Path) -> Place:
    """Objects and sets in directories, and both in S3."""
    core: Settings = app.extensions["trellis"].settings.core
    if request.param == "files":
        return Place(app, core, str(tmp_path / "backups"))
    run = tmp_path.name
    settings = {**request.getfixturevalue("s3"), "storage_url": f"s3://objects/{run}"}
    return Place(app, core.model_copy(update=settings), f"s3://backups/{run}/sets")


@dataclass
class People:
    """Some people, signed in, each with pictures."""

    ids: list[UUID]
    tokens: list[Tokens]
    assets: list[list[UUID]]

    def headers(self, number: int = 0) -> dict[str, str]:
        """As which one of them calls."""
        return {"Authorization": f"Bearer {self.tokens[number].access_token}"}


@pytest.fixture
def settle(app: Flask) -> Callable[..., People]:
    """``settle(3, seed=1)`` brings in people of whom auth and media hold something."""

    def settle(count: int = 2, *, seed: int = 0) -> People:
        with app.app_context():
            ids = auth.users(count, seed=seed)
            tokens = auth.sessions(ids, seed=seed)
            assets = [media.make_assets(id_, 2, seed=seed * 100 + n) for n, id_ in enumerate(ids)]
        return People(ids, tokens, assets)

    return settle


def contents(*but: str) -> Contents:
    """Every row of every table except for those named, in an order of their own."""
    tables: list[Table] = [table for table in Model.metadata.sorted_tables if table.name not in but]
    return {
        table.name: sorted((tuple(row) for row in fetch_all(select(*table.columns))), key=repr)
        for table in tables
    }


def objects(storage: ObjectStorage) -> dict[str, bytes]:
    """What an installation stores, without what is said of the storage itself."""
    return {
        key: b"".join(storage.read(key))
        for key in storage.list("")
        if not key.startswith(".trellis/")
    }
