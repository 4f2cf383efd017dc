"""What a crash left in the storage is swept, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from trellis.contracts import BlobStore
from trellis.db import new_id, utcnow
from trellis.runtime import Runtime
from trellis_media import services
from trellis_media.factories import make_assets, picture
from trellis_media.services import objects as stored_objects

ASSETS = "/v1/media/assets"
MESSAGES = "/v1/notifications/messages"

Headers = dict[str, str]
SignIn = Callable[..., Headers]
Upload = Callable[..., str]
RunTasks = Callable[..., list[str]]
Objects = Callable[[], set[str]]
Feed = Callable[[], list[dict[str, Any]]]


def aged(age: timedelta) -> UUID:
    """An id as it was made some time ago."""
    milliseconds = int((utcnow() - age).timestamp() * 1000)
    return UUID(int=new_id().int & ((1 << 80) - 1) | milliseconds << 80)


def test_a_crash_between_storage_and_row_leaves_an_orphan_that_is_swept(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    form: Callable[..., dict[str, Any]],
    storage: Any,
    objects: Objects,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class KilledError(BaseException):
        pass

    def kill(key: str) -> None:
        raise KilledError(key)

    storage.after_put = kill
    me = as_user()
    body = form(picture())
    with pytest.raises(KilledError):
        client.post(ASSETS, data=body["data"], headers=me | body["headers"])
    storage.after_put = lambda key: None
    assert client.get(ASSETS, headers=me).get_json()["items"] == []
    assert len(objects()) == 1
    with app.app_context():
        services.sweep_orphans()
        assert len(objects()) == 1, "it may still get its row"
        later: Callable[[], datetime] = lambda: utcnow() + timedelta(minutes=61)  # noqa: E731
        monkeypatch.setattr(stored_objects, "utcnow", later)
        services.sweep_orphans()
    assert not objects()


def test_the_sweep_keeps_what_has_a_row_what_is_young_and_what_is_not_ours(
    app: Flask, new_user_id: Callable[[], UUID], objects: Objects
) -> None:
    runtime: Runtime = app.extensions["trellis"]
    store: Any = runtime.ports[BlobStore]
    old, young = aged(timedelta(minutes=61)), aged(timedelta(minutes=59))
    with app.app_context():
        (kept,) = make_assets(new_user_id(), 1)
        for name in ("original", "small", "large"):
            store.put(f"media/{old}/{name}", b"x")
        store.put(f"media/{young}/original", b"x")
        store.put("media/readme/first", b"x")
        store.put(f"other/{old}/original", b"x")
        services.sweep_orphans()
    assert objects() == {
        *(f"media/{kept}/{name}" for name in ("original", "small", "large")),
        f"media/{young}/original",
        "media/readme/first",
    }
    assert set(store.list("other/")) == {f"other/{old}/original"}


def test_the_sweep_finds_a_few_among_many(
    app: Flask, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime: Runtime = app.extensions["trellis"]
    store: Any = runtime.ports[BlobStore]
    monkeypatch.setattr(stored_objects, "_AT_ONCE", 3)
    for number in range(10):
        store.put(f"media/{aged(timedelta(hours=2 + number))}/original", b"x")
    with app.app_context():
        services.sweep_orphans()
    assert not objects()


def test_the_sweep_is_due_every_hour(app: Flask) -> None:
    runtime: Runtime = app.extensions["trellis"]
    (schedule,) = [one for one in runtime.schedules if one.task == "media.sweep_orphans"]
    assert getattr(schedule, "interval", None) == 3600
