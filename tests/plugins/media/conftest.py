from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

import trellis_demo
from trellis.contracts import BlobStore
from trellis.runtime import Runtime
from trellis_media.settings import MediaSettings

PHOTOGRAPH = Path(trellis_demo.__file__).parent / "photo.jpg"


@pytest.fixture(scope="session")
def photograph() -> bytes:
    """2048 x 1152 pixels stored on their side, with EXIF, a camera and a place."""
    return PHOTOGRAPH.read_bytes()


@pytest.fixture
def settings(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``settings(quota_bytes=…)`` changes the plugin's settings for this test."""

    def change(**values: Any) -> None:
        plugins: Any = app.extensions["trellis"].settings.plugins
        monkeypatch.setitem(plugins, "media", MediaSettings(**values))

    return change


@pytest.fixture
def form() -> Callable[..., dict[str, Any]]:
    """``form(data)`` gives body and headers of a multipart request, as a phone sends it.

    Made by hand, because the test client leaves large ones in files that it never closes.
    """

    def encode(
        data: bytes, filename: str | None = "picture.jpg", *, name: str = "file", type_: str = ""
    ) -> dict[str, Any]:
        quoted = (filename or "").replace("\\", "\\\\").replace('"', '\\"')
        head = f'--line\r\nContent-Disposition: form-data; name="{name}"'
        head += f'; filename="{quoted}"' if filename is not None else ""
        head += f"\r\nContent-Type: {type_}" if type_ else ""
        return {
            "data": f"{head}\r\n\r\n".encode() + data + b"\r\n--line--\r\n",
            "headers": {"Content-Type": "multipart/form-data; boundary=line"},
        }

    return encode


@pytest.fixture
def upload(client: FlaskClient, form: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    """``upload(headers, data)`` uploads a file and returns the asset's id."""

    def send(who: dict[str, str], data: bytes, filename: str = "picture.jpg") -> str:
        body = form(data, filename)
        response = client.post("/v1/media/assets", data=body["data"], headers=who | body["headers"])
        assert response.status_code == 201, response.text
        return str(response.get_json()["id"])

    return send


@pytest.fixture
def objects(app: Flask) -> Callable[[], set[str]]:
    """``objects()`` gives the keys of everything that is stored."""
    runtime: Runtime = app.extensions["trellis"]
    store: Any = runtime.ports[BlobStore]
    return lambda: set(store.list("media/"))


class HookedStore:
    """The real storage, which calls back after each object that it has stored."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.after_put: Callable[[str], None] = lambda key: None

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        self._store.put(key, data)
        self.after_put(key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        return self._store.read(key, start, end)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def list(self, prefix: str) -> Iterator[str]:
        return self._store.list(prefix)


@pytest.fixture
def storage(app: Flask) -> HookedStore:
    """The storage, with ``after_put`` for what is to happen at that very moment."""
    runtime: Runtime = app.extensions["trellis"]
    store: Any = runtime.ports[BlobStore]
    hooked = HookedStore(store)
    runtime.ports[BlobStore] = hooked
    return hooked


def of_type(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == name]


def inside(app: Flask, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with app.app_context():
            return function(*arguments)

    return call
