"""Every route, by everybody: anonymous, a service, another user, the owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from trellis.contracts import Identity, Principal
from trellis.db import new_id
from trellis.testing import Scenario
from trellis.testing.identity import IssuedIdentity
from trellis_media.factories import make_assets, picture

ASSETS = "/v1/media/assets"

Headers = dict[str, str]
Check = Callable[[Scenario], Any]
SignIn = Callable[..., Headers]
Upload = Callable[..., str]
Form = Callable[..., dict[str, Any]]


@pytest.fixture
def service(app: Flask, as_user: SignIn) -> Headers:
    identity = app.extensions["trellis"].ports[Identity]
    assert isinstance(identity, IssuedIdentity)
    return identity.issue(Principal(new_id(), "service"))


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", ""),
        ("GET", "/{id}"),
        ("DELETE", "/{id}"),
        ("GET", "/{id}/content"),
        ("GET", "/{id}/renditions/small"),
    ],
)
def test_assets_are_their_owners(
    check: Check,
    as_user: SignIn,
    service: Headers,
    upload: Upload,
    run_tasks: Callable[..., list[str]],
    method: str,
    address: str,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())
    run_tasks()
    path = ASSETS + address.format(id=asset_id)
    check(Scenario(method, path, 401, code="core.unauthenticated", lacks=(asset_id,)))
    check(Scenario(method, path, 403, service, code="core.forbidden"))
    if address:
        check(Scenario(method, path, 404, as_user(), code="core.not_found"))
        nowhere = ASSETS + address.format(id=new_id())
        check(Scenario(method, nowhere, 404, me, code="core.not_found"))
    else:
        check(Scenario(method, path, 200, as_user(), has={"items": [], "next_cursor": None}))
    deleting = method == "DELETE"
    check(
        Scenario(
            method,
            path,
            204 if deleting else 200,
            me,
            events=("media.asset_deleted/1",) if deleting else (),
            tasks=("media.delete_objects",) if deleting else (),
        )
    )


def test_uploads_are_for_people_who_are_signed_in(
    check: Check,
    as_user: SignIn,
    service: Headers,
    form: Form,
    objects: Callable[[], set[str]],
) -> None:
    check(Scenario("POST", ASSETS, 401, **form(picture()), code="core.unauthenticated"))
    check(Scenario("POST", ASSETS, 403, service, **form(picture()), code="core.forbidden"))
    assert not objects()
    check(
        Scenario(
            "POST",
            ASSETS,
            201,
            as_user(),
            **form(picture()),
            has={
                "state": "processing",
                "content_type": "image/jpeg",
                "size": len(picture()),
                "width": 64,
                "height": 48,
                "filename": "picture.jpg",
                "thumbhash": None,
                "renditions": [],
            },
            events=("media.asset_uploaded/1",),
            tasks=("media.make_renditions",),
            statements=7,
        )
    )
    assert len(objects()) == 1


def test_access_that_ends_during_the_upload_leaves_nothing(
    app: Flask,
    check: Check,
    as_user: SignIn,
    form: Form,
    monkeypatch: pytest.MonkeyPatch,
    objects: Callable[[], set[str]],
) -> None:
    me = as_user()
    identity = app.extensions["trellis"].ports[Identity]
    monkeypatch.setattr(identity, "is_alive", lambda principal: False)
    check(Scenario("POST", ASSETS, 401, me, **form(picture()), code="core.unauthenticated"))
    assert not objects()
    check(Scenario("GET", ASSETS, 200, me, has={"items": []}))


# --- lists and cache ----------------------------------------------------------------------------


def test_the_list_has_pages_and_the_newest_first(
    app: Flask, client: FlaskClient, as_user: SignIn, new_user_id: Callable[[], UUID]
) -> None:
    owner = new_user_id()
    with app.app_context():
        made = [str(asset_id) for asset_id in make_assets(owner, 5)]
    me = as_user(owner)
    seen: list[str] = []
    path = f"{ASSETS}?limit=2"
    for size in (2, 2, 1):
        response = client.get(path, headers=me)
        items = response.get_json()["items"]
        assert len(items) == size
        seen += [item["id"] for item in items]
        if size == 2:
            path = response.headers["Link"].partition(">")[0].removeprefix("<")
    assert seen == made[::-1]
    assert "Link" not in response.headers


def test_reads_are_cached_and_every_write_shows_at_once(
    check: Check, as_user: SignIn, upload: Upload, run_tasks: Callable[..., list[str]]
) -> None:
    me, other = as_user(), as_user()

    def states(**expected: Any) -> None:
        shown = check(Scenario("GET", ASSETS, 200, me, **expected)).get_json()["items"]
        found.append({item["id"]: item["state"] for item in shown})

    found: list[dict[str, str]] = []
    states()
    states(statements=0)
    first = upload(me, picture())
    states()
    states(statements=0)
    one = f"{ASSETS}/{first}"
    check(Scenario("GET", one, 200, me, has={"state": "processing"}))
    run_tasks()
    states()
    check(Scenario("GET", one, 200, me, has={"state": "ready"}))
    check(Scenario("GET", one, 200, me, has={"state": "ready"}, statements=0))
    # What is kept for one caller is not shown to another.
    check(Scenario("GET", one, 404, other))
    check(Scenario("GET", ASSETS, 200, other, has={"items": []}))
    check(
        Scenario(
            "DELETE",
            one,
            204,
            me,
            events=("media.asset_deleted/1",),
            tasks=("media.delete_objects",),
        )
    )
    states()
    check(Scenario("GET", one, 404, me))
    assert found == [{}, {}, {first: "processing"}, {first: "processing"}, {first: "ready"}, {}]


# --- downloads ----------------------------------------------------------------------------------


def test_the_original_comes_back_byte_for_byte(
    client: FlaskClient, as_user: SignIn, upload: Upload, photograph: bytes
) -> None:
    me = as_user()
    path = f"{ASSETS}/{upload(me, photograph, 'meadow.jpg')}/content"
    whole = client.get(path, headers=me)
    assert whole.data == photograph
    assert whole.headers["Content-Type"] == "image/jpeg"
    assert whole.headers["Content-Disposition"] == 'attachment; filename="meadow.jpg"'
    assert whole.headers["Cache-Control"] == "private, no-cache"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in whole.headers["Content-Security-Policy"]
    assert whole.headers["Last-Modified"]

    etag = whole.headers["ETag"]
    unchanged = client.get(path, headers=me | {"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == etag
    part = client.get(path, headers=me | {"Range": "bytes=1000-1999", "If-Range": etag})
    assert (part.status_code, part.data) == (206, photograph[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(photograph)}"
    last = client.get(path, headers=me | {"Range": "bytes=-10"})
    assert (last.status_code, last.data) == (206, photograph[-10:])
    beyond = client.get(path, headers=me | {"Range": f"bytes={len(photograph)}-"})
    assert beyond.status_code == 416
    assert beyond.get_json()["code"] == "core.range_not_satisfiable"
    head = client.head(path, headers=me)
    assert (head.data, head.headers["Content-Length"]) == (b"", str(len(photograph)))


def test_a_rendition_downloads_when_it_is_made(
    check: Check,
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: Callable[..., list[str]],
) -> None:
    me = as_user()
    asset = f"{ASSETS}/{upload(me, picture(), 'Meine Blüte.jpeg')}"
    early = Scenario(
        "GET", f"{asset}/renditions/small", 409, me, code="media.not_ready",
        has={"state": "processing", "failure": None},
    )  # fmt: skip
    check(early)
    run_tasks()
    small = client.get(f"{asset}/renditions/small", headers=me)
    assert small.headers["Content-Type"] == "image/webp"
    assert small.headers["Content-Disposition"].startswith('inline; filename="Meine Blute-small')
    assert small.data.startswith(b"RIFF")
    again = client.get(
        f"{asset}/renditions/small", headers=me | {"If-None-Match": small.headers["ETag"]}
    )
    assert again.status_code == 304
    large = client.get(f"{asset}/renditions/large", headers=me | {"Range": "bytes=8-11"})
    assert (large.status_code, large.data) == (206, b"WEBP")
    for name in ("huge", "original", "..%2foriginal", "%00"):
        status = 400 if name == "%00" else 404
        check(Scenario("GET", f"{asset}/renditions/{name}", status, me))


def test_a_deleted_asset_leaves_no_byte(
    client: FlaskClient,
    as_user: SignIn,
    upload: Upload,
    run_tasks: Callable[..., list[str]],
    objects: Callable[[], set[str]],
) -> None:
    me = as_user()
    gone, kept = upload(me, picture()), upload(me, picture(1))
    run_tasks()
    assert client.delete(f"{ASSETS}/{gone}", headers=me).status_code == 204
    assert client.delete(f"{ASSETS}/{gone}", headers=me).status_code == 404
    assert client.get(f"{ASSETS}/{gone}/content", headers=me).status_code == 404
    assert run_tasks() == ["media.delete_objects"]
    assert objects() == {f"media/{kept}/{name}" for name in ("original", "small", "large")}
