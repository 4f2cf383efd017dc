"""What workers do: once, also when run twice, cut short, or overtaken by a deletion."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from trellis.contracts import BlobStore, Messenger
from trellis.db import fetch_value, new_id, utcnow
from trellis.privacy import request_erasure
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_media import services
from trellis_media.factories import make_assets, picture
from trellis_media.models import Asset, Usage
from trellis_media.services import decoding
from trellis_media.services import objects as stored_objects

ASSETS = "/v1/media/assets"
MESSAGES = "/v1/notifications/messages"

Headers = dict[str, str]
SignIn = Callable[..., Headers]
Upload = Callable[..., str]
RunTasks = Callable[..., list[str]]
Objects = Callable[[], set[str]]
Feed = Callable[[], list[dict[str, Any]]]


def messages(client: FlaskClient, who: Headers) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(MESSAGES, headers=who).get_json()["items"]
    return items


def of_type(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == name]


# --- ready --------------------------------------------------------------------------------------


def test_a_photograph_becomes_ready_and_its_owner_is_told(
    client: FlaskClient,
    as_user: SignIn,
    new_user_id: Callable[[], UUID],
    upload: Upload,
    run_tasks: RunTasks,
    feed: Feed,
    photograph: bytes,
) -> None:
    owner = new_user_id()
    me = as_user(owner)
    asset_id = upload(me, photograph, "meadow.jpg")
    run_tasks()

    asset = client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()
    assert (asset["state"], asset["width"], asset["height"]) == ("ready", 2048, 1152)
    assert {made["name"]: (made["width"], made["height"]) for made in asset["renditions"]} == {
        "large": (1280, 720),
        "small": (320, 180),
    }
    for made in asset["renditions"]:
        path = made["url"].partition("/v1/")[2]
        assert len(client.get(f"/v1/{path}", headers=me).data) == made["size"]

    (ready,) = of_type(feed(), "media.asset_ready/1")
    assert ready["audience"] == f"user:{owner}"
    assert ready["payload"] == {
        "asset_id": asset_id,
        "owner_id": str(owner),
        "width": 2048,
        "height": 1152,
        "thumbhash": asset["thumbhash"],
        "renditions": [
            {"name": "large", "width": 1280, "height": 720},
            {"name": "small", "width": 320, "height": 180},
        ],
    }
    (message,) = messages(client, me)
    assert (message["kind"], message["data"]) == ("media.photo_ready", {"asset_id": asset_id})


def test_run_twice_it_is_ready_once(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: RunTasks,
    feed: Feed,
    objects: Objects,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())
    run_tasks()
    before = client.get(f"{ASSETS}/{asset_id}", headers=me).get_json(), objects()
    with app.app_context():
        services.make_renditions(UUID(asset_id))
    run_tasks()
    assert (client.get(f"{ASSETS}/{asset_id}", headers=me).get_json(), objects()) == before
    assert len(of_type(feed(), "media.asset_ready/1")) == 1
    assert len(messages(client, me)) == 1


def test_run_by_two_workers_at_once_it_is_ready_once(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    feed: Feed,
    run_tasks: RunTasks,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())

    def work(_: int) -> None:
        with app.app_context():
            services.make_renditions(UUID(asset_id))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    run_tasks()
    assert len(of_type(feed(), "media.asset_ready/1")) == 1
    assert len(messages(client, me)) == 1
    rendition = client.get(f"{ASSETS}/{asset_id}/renditions/small", headers=me)
    assert rendition.status_code == 200


def test_cut_short_it_is_done_at_the_next_attempt(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    storage: Any,
    feed: Feed,
    run_tasks: RunTasks,
) -> None:
    """The process ends after the first rendition is stored, before anything is committed."""
    me = as_user()
    asset_id = upload(me, picture())

    class EndedError(Exception):
        pass

    def end(key: str) -> None:
        raise EndedError(key)

    storage.after_put = end
    with app.app_context(), pytest.raises(EndedError):
        services.make_renditions(UUID(asset_id))
    assert client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()["state"] == "processing"
    assert not of_type(feed(), "media.asset_ready/1")
    storage.after_put = lambda key: None
    run_tasks()
    assert client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()["state"] == "ready"
    assert len(messages(client, me)) == 1


def test_without_a_messenger_it_is_ready_all_the_same(
    app: Flask, client: FlaskClient, as_user: SignIn, upload: Upload, run_tasks: RunTasks
) -> None:
    runtime: Runtime = app.extensions["trellis"]
    del runtime.ports[Messenger]
    me = as_user()
    asset_id = upload(me, picture())
    assert run_tasks() == ["media.make_renditions"]
    assert client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()["state"] == "ready"


# --- failed -------------------------------------------------------------------------------------


def test_a_broken_picture_ends_as_failed_and_is_not_tried_again(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: RunTasks,
    outbox: Callable[[], list[str]],
    feed: Feed,
    objects: Objects,
) -> None:
    me = as_user()
    asset_id = upload(me, picture(width=800, height=600)[:5000])
    assert run_tasks() == ["media.make_renditions"]
    assert outbox() == []
    asset = client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()
    assert (asset["state"], asset["failure"], asset["renditions"]) == ("failed", "broken", [])
    (failed,) = of_type(feed(), "media.asset_failed/1")
    assert failed["payload"]["reason"] == "broken"
    assert messages(client, me) == []
    rendition = client.get(f"{ASSETS}/{asset_id}/renditions/small", headers=me)
    assert rendition.status_code == 409
    problem = rendition.get_json()
    assert problem["code"] == "media.not_ready"
    assert (problem["state"], problem["failure"]) == ("failed", "broken")
    # The original is still its owner's.
    assert client.get(f"{ASSETS}/{asset_id}/content", headers=me).status_code == 200
    with app.app_context():
        services.make_renditions(UUID(asset_id))
    assert len(of_type(feed(), "media.asset_failed/1")) == 1
    assert objects() == {f"media/{asset_id}/original"}


def test_a_decoder_that_was_ended_from_outside_is_tried_again(
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: RunTasks,
    outbox: Callable[[], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())
    program = tmp_path / "ended.py"
    program.write_text(f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    monkeypatch.setattr(decoding, "_DECODER", program)
    run_tasks(failures=True)
    assert outbox() == ["media.make_renditions"]
    assert client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()["state"] == "processing"


# --- gone meanwhile -----------------------------------------------------------------------------


def test_deleted_before_the_task_nothing_happens(
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: RunTasks,
    feed: Feed,
    objects: Objects,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())
    assert client.delete(f"{ASSETS}/{asset_id}", headers=me).status_code == 204
    assert sorted(run_tasks()) == ["media.delete_objects", "media.make_renditions"]
    assert not of_type(feed(), "media.asset_ready/1")
    assert not objects()


@pytest.mark.parametrize("rendition", ["large", "small"])
def test_deleted_while_the_task_runs_no_byte_stays(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: RunTasks,
    storage: Any,
    feed: Feed,
    objects: Objects,
    rendition: str,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())

    def delete(key: str) -> None:
        """Another process deletes the asset and its objects, at this very moment."""
        if key.endswith(rendition):
            with ThreadPoolExecutor(1) as other:
                path = f"{ASSETS}/{asset_id}"
                response = other.submit(app.test_client().delete, path, headers=me).result()
                assert response.status_code == 204
                other.submit(_in(app, services.delete_objects), UUID(asset_id)).result()

    storage.after_put = delete
    with app.app_context():
        services.make_renditions(UUID(asset_id))
    assert not objects()
    run_tasks()
    assert not of_type(feed(), "media.asset_ready/1")
    assert messages(client, me) == []


def _in(app: Flask, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with app.app_context():
            return function(*arguments)

    return call


# --- erasure ------------------------------------------------------------------------------------


def count(app: Flask, table: Any, owner: UUID) -> int:
    with app.app_context():
        found = select(func.count()).select_from(table).where(table.owner_id == owner)
        return int(fetch_value(found))


def erase(app: Flask, owner: UUID) -> None:
    with app.app_context(), unit_of_work() as uow:
        request_erasure(uow, owner)


def test_erasure_leaves_nothing_of_the_person_and_all_of_others(
    app: Flask,
    client: FlaskClient,
    as_user: SignIn,
    new_user_id: Callable[[], UUID],
    upload: Upload,
    run_tasks: RunTasks,
    feed: Feed,
    objects: Objects,
) -> None:
    owner, other = new_user_id(), new_user_id()
    me = as_user(owner)
    done = upload(me, picture())
    run_tasks()
    upload(me, picture())
    client.delete(f"{ASSETS}/{upload(me, picture())}", headers=me)
    with app.app_context():
        (kept,) = make_assets(other, 1)
        exported = services.export_user(owner)["assets"]
    assert {asset["state"] for asset in exported} == {"ready", "processing"}
    assert client.get(f"{ASSETS}/{done}", headers=me).get_json()["state"] == "ready"

    erase(app, owner)
    run_tasks()
    assert (count(app, Asset, owner), count(app, Usage, owner)) == (0, 0)
    assert (count(app, Asset, other), count(app, Usage, other)) == (1, 1)
    assert objects() == {f"media/{kept}/{name}" for name in ("original", "small", "large")}
    assert not [event for event in feed() if str(owner) in str(event)]
    assert client.get(f"{ASSETS}/{done}", headers=me).status_code == 404
    assert client.get(ASSETS, headers=me).get_json()["items"] == []
    with app.app_context():
        assert services.export_user(owner) == {"assets": []}
        assert not any(services.erase_user(owner).values())


def test_erased_while_the_task_runs_nothing_comes_back(
    app: Flask,
    as_user: SignIn,
    new_user_id: Callable[[], UUID],
    upload: Upload,
    run_tasks: RunTasks,
    storage: Any,
    feed: Feed,
    objects: Objects,
) -> None:
    owner = new_user_id()
    upload(as_user(owner), picture())

    def erase_now(key: str) -> None:
        if key.endswith("large"):  # the first of the two
            with ThreadPoolExecutor(1) as other:
                other.submit(_in(app, services.erase_user), owner).result()

    storage.after_put = erase_now
    run_tasks()
    assert (count(app, Asset, owner), count(app, Usage, owner)) == (0, 0)
    assert not of_type(feed(), "media.asset_ready/1")
    assert not objects()


# --- orphans ------------------------------------------------------------------------------------


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
