"""Erasure leaves nothing of a person, whatever runs meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from tests.plugins.media.conftest import inside, of_type

from trellis.db import fetch_value
from trellis.privacy import request_erasure
from trellis.unit_of_work import unit_of_work
from trellis_media import services
from trellis_media.factories import make_assets, picture
from trellis_media.models import Asset, Usage

ASSETS = "/v1/media/assets"
MESSAGES = "/v1/notifications/messages"

Headers = dict[str, str]
SignIn = Callable[..., Headers]
Upload = Callable[..., str]
RunTasks = Callable[..., list[str]]
Objects = Callable[[], set[str]]
Feed = Callable[[], list[dict[str, Any]]]


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
                other.submit(inside(app, services.erase_user), owner).result()

    storage.after_put = erase_now
    run_tasks()
    assert (count(app, Asset, owner), count(app, Usage, owner)) == (0, 0)
    assert not of_type(feed(), "media.asset_ready/1")
    assert not objects()
