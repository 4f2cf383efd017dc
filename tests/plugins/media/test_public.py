"""Pictures that everybody may see: by whom, for how long, and what caches in front are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import new_id
from trellis.testing import Scenario
from trellis.unit_of_work import unit_of_work
from trellis_cache.tags import digest_of
from trellis_media.factories import make_assets, picture
from trellis_media.services import erase_user, show_to

ASSETS = "/v1/media/assets"
PUBLIC = "/v1/media/public"
NAMES = ("original", "small", "large")
SHOWN, PURGE = "media.asset_shown/1", "core.purge_tags"
PATCH = {"Content-Type": "application/merge-patch+json"}

Headers = dict[str, str]
Check = Callable[[Scenario], Any]
SignIn = Callable[..., Headers]
Upload = Callable[..., str]
RunTasks = Callable[..., list[str]]


@pytest.fixture
def me(as_user: SignIn) -> Headers:
    return as_user()


@pytest.fixture
def asset_id(me: Headers, upload: Upload, run_tasks: RunTasks) -> str:
    asset_id = upload(me, picture())
    run_tasks()
    return asset_id


@pytest.fixture
def show(check: Check, me: Headers, asset_id: str) -> Callable[..., Any]:
    def show(visibility: str = "public", tasks: tuple[str, ...] = ()) -> Any:
        body = json.dumps({"visibility": visibility})
        call = Scenario("PATCH", f"{ASSETS}/{asset_id}", 200, me, data=body, headers=PATCH)
        changed = replace(call, has={"visibility": visibility}, events=(SHOWN,), tasks=tasks)
        return check(changed).get_json()

    return show


@pytest.mark.parametrize("name", NAMES)
def test_b13_a_picture_is_shown_to_everybody_while_its_owner_wants_it(
    check: Check, show: Callable[..., Any], asset_id: str, name: str
) -> None:
    hidden = Scenario("GET", f"{PUBLIC}/{asset_id}/{name}", 404, code="core.not_found")
    assert "no-store" in check(hidden).headers["Cache-Control"]
    show()
    answer = check(Scenario("GET", f"{PUBLIC}/{asset_id}/{name}", 200))
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert "Surrogate-Key" not in answer.headers  # nobody would be told what became stale
    assert "CDN-Cache-Control" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].endswith("sandbox")
    show("private")
    check(hidden)


def test_the_addresses_of_a_picture_are_those_that_work(
    client: FlaskClient, show: Callable[..., Any]
) -> None:
    asset = show()
    addresses = [asset["url"], *(rendition["url"] for rendition in asset["renditions"])]
    assert len(addresses) == len(NAMES)
    for address in addresses:
        assert client.get(address).status_code == 200
    for address in [show("private")["url"]]:
        assert client.get(address).status_code == 401


def test_a_picture_may_be_public_from_the_beginning(
    client: FlaskClient, me: Headers, form: Callable[..., dict[str, Any]]
) -> None:
    body = form(picture())
    path, headers = f"{ASSETS}?visibility=public", me | body["headers"]
    answer = client.post(path, data=body["data"], headers=headers)
    assert answer.status_code == 201
    asset = answer.get_json()
    assert client.get(asset["url"]).data == picture()
    assert client.get(answer.headers["Location"], headers=me).get_json() == asset
    waiting = client.get(f"{PUBLIC}/{asset['id']}/small")
    assert (waiting.status_code, waiting.headers["Cache-Control"]) == (409, "no-store")


def test_who_may_show_a_picture(check: Check, as_user: SignIn, asset_id: str) -> None:
    path, body = f"{ASSETS}/{asset_id}", json.dumps({"visibility": "public"})
    check(Scenario("PATCH", path, 401, data=body, headers=PATCH, code="core.unauthenticated"))
    other = Scenario("PATCH", path, 404, as_user(), data=body, headers=PATCH)
    check(replace(other, code="core.not_found"))
    check(replace(other, path=f"{ASSETS}/{new_id()}", code="core.not_found"))


@pytest.mark.parametrize("visibility", [None, "", "Public", "everybody", 1, ["public"]])
def test_a_visibility_is_one_of_two(
    check: Check, me: Headers, asset_id: str, visibility: Any
) -> None:
    body = json.dumps({"visibility": visibility})
    call = Scenario("PATCH", f"{ASSETS}/{asset_id}", 422, me, data=body, headers=PATCH)
    check(replace(call, code="core.invalid_input"))


def test_a_patch_that_names_nothing_changes_nothing(
    check: Check, me: Headers, asset_id: str
) -> None:
    check(Scenario("PATCH", f"{ASSETS}/{asset_id}", 200, me, data="{}", headers=PATCH))


@pytest.mark.parametrize("name", ["", "huge", "../original", "originaL"])
def test_other_names_are_nowhere(
    check: Check, show: Callable[..., Any], asset_id: str, name: str
) -> None:
    show()
    check(Scenario("GET", f"{PUBLIC}/{asset_id}/{name}", 404, code="core.not_found"))


# --- caches in front ----------------------------------------------------------------------------


@pytest.fixture
def cdn() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def told(app: Flask, cdn: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """It is told of changes from now on."""
    settings: Any = app.extensions["trellis"].settings
    header = SecretStr("Fastly-Key: a secret: of ours")
    values = {"cdn_purge_url": cdn.url("/purge"), "cdn_purge_header": header}
    runtime = app.extensions["trellis"]
    core = settings.core.model_copy(update=values)
    monkeypatch.setattr(runtime, "settings", replace(settings, core=core))
    return cdn


def test_a_cdn_keeps_a_picture_until_it_is_told_to_forget_it(
    check: Check, told: Receiver, show: Callable[..., Any], asset_id: str, run_tasks: RunTasks
) -> None:
    show(tasks=(PURGE, PURGE))
    key = digest_of(f"media.asset:{asset_id}")
    answer = check(Scenario("GET", f"{PUBLIC}/{asset_id}/small", 200))
    assert answer.headers["Surrogate-Key"] == key
    assert answer.headers["CDN-Cache-Control"] == "public, max-age=31536000"
    run_tasks()
    assert len(told.calls) == 1  # and once more for what was answered before, after ten seconds
    show("private", tasks=(PURGE, PURGE))
    run_tasks()
    for call in told.calls:
        assert json.loads(call.body) == {"tags": [key]}
        assert call.headers["surrogate-key"] == key
        assert call.headers["fastly-key"] == "a secret: of ours"


def test_nothing_of_private_pictures_is_told_in_front(
    check: Check, told: Receiver, me: Headers, asset_id: str, run_tasks: RunTasks
) -> None:
    for path in (ASSETS, f"{ASSETS}/{asset_id}", f"{ASSETS}/{asset_id}/renditions/small"):
        answer = check(Scenario("GET", path, 200, me))
        assert "private" in answer.headers["Cache-Control"]
        assert "Surrogate-Key" not in answer.headers
        assert "CDN-Cache-Control" not in answer.headers
    assert told.calls == []


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_deleting_what_was_public_is_told_in_front(
    check: Check, told: Receiver, me: Headers, show: Callable[..., Any], visibility: str
) -> None:
    path = f"{ASSETS}/{show(visibility, tasks=(PURGE, PURGE))['id']}"
    purges = (PURGE, PURGE) if visibility == "public" else ()
    deleted = Scenario("DELETE", path, 204, me, tasks=("media.delete_objects", *purges))
    check(replace(deleted, events=("media.asset_deleted/1",)))


def test_what_many_pictures_of_somebody_leave_in_front_is_told_in_bounded_calls(
    app: Flask, told: Receiver, run_tasks: RunTasks
) -> None:
    person = new_id()
    with app.app_context():
        made = make_assets(person, 70)
        for asset_id in made:
            show_to(person, asset_id, "public")
        run_tasks()
        told.calls.clear()
        with unit_of_work():
            erase_user(person)
    run_tasks()
    calls = [json.loads(call.body)["tags"] for call in told.calls]
    assert sorted(map(len, calls)) == [10, 30, 30]
    assert {tag for tags in calls for tag in tags} == {
        digest_of(f"media.asset:{asset_id}") for asset_id in made
    }


@pytest.mark.parametrize(("status", "headers"), [(500, {}), (401, {}), (429, {"Retry-After": "7"})])
def test_a_cdn_that_does_not_take_it_is_told_again(
    told: Receiver,
    show: Callable[..., Any],
    run_tasks: RunTasks,
    outbox: Callable[[], list[str]],
    status: int,
    headers: Headers,
) -> None:
    told.default.status, told.default.headers = status, headers
    show(tasks=(PURGE, PURGE))
    run_tasks(failures=True)
    assert len(told.calls) == 1
    assert outbox() == [PURGE, PURGE]
