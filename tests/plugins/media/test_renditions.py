"""Renditions are made once, also when run twice, cut short, or overtaken by a deletion."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.plugins.media.conftest import inside, of_type

from trellis.contracts import Messenger
from trellis.runtime import Runtime
from trellis_media import services
from trellis_media.factories import picture
from trellis_media.services import decoding

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
                other.submit(inside(app, services.delete_objects), UUID(asset_id)).result()

    storage.after_put = delete
    with app.app_context():
        services.make_renditions(UUID(asset_id))
    assert not objects()
    run_tasks()
    assert not of_type(feed(), "media.asset_ready/1")
    assert messages(client, me) == []
