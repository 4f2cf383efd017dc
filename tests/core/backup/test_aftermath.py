"""What a restore does not bring back: sessions, cursors, leases, people who left, the cache."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import func, select, update
from tests.core.backup.conftest import People, Place, objects

from trellis.app import cache_url
from trellis.db import database_now, fetch_all, fetch_value
from trellis.feed.models import FeedEntry, FeedHead
from trellis.outbox.models import OutboxRow
from trellis.privacy import erasure, journal
from trellis.privacy.models import Erasure
from trellis.runtime import runtime
from trellis.unit_of_work import unit_of_work
from trellis_auth.factories import PASSWORD, emails
from trellis_auth.models import Session, User
from trellis_backup import aftermath
from trellis_backup.create import create
from trellis_backup.restore import restore
from trellis_media.models import Asset

Settle = Callable[..., People]
RunTasks = Callable[..., list[str]]


def status(client: FlaskClient, people: People, number: int = 0) -> int:
    return client.get("/v1/auth/account", headers=people.headers(number)).status_code


def refreshed(client: FlaskClient, people: People, number: int = 0) -> int:
    body = {"refresh_token": people.tokens[number].refresh_token}
    return client.post("/v1/auth/tokens", json=body).status_code


def sign_in(client: FlaskClient, seed: int = 0) -> int:
    device = {"installation_id": "new", "name": "Phone", "platform": "ios"}
    body = {"email": emails(1, seed=seed)[0], "password": PASSWORD, "device": device}
    return client.post("/v1/auth/sessions", json=body).status_code


def leave(client: FlaskClient, people: People, number: int = 0) -> UUID:
    answer = client.delete(
        "/v1/auth/account", headers=people.headers(number), json={"password": PASSWORD}
    )
    assert answer.status_code == 202, answer.text
    return UUID(answer.get_json()["erasure_id"])


def back_to(app: Flask, place: Place, set_id: str | None = None) -> None:
    from trellis_backup import manifest

    with app.app_context():
        target = place.target()
        restore(target, manifest.chosen(target, set_id), replace=True)


def make_set(app: Flask, place: Place) -> str:
    with app.app_context():
        return create(place.target()).manifest.id


def test_no_session_is_revived(
    app: Flask, client: FlaskClient, place: Place, settle: Settle, run_tasks: RunTasks
) -> None:
    people, ended = settle(2), settle(1, seed=5)
    assert client.delete("/v1/auth/sessions", headers=ended.headers()).status_code == 204
    make_set(app, place)
    assert client.delete("/v1/auth/sessions", headers=people.headers(1)).status_code == 204
    later = settle(1, seed=6)

    back_to(app, place)
    for someone, number in ((people, 0), (people, 1), (ended, 0), (later, 0)):
        assert status(client, someone, number) == 401
        assert refreshed(client, someone, number) == 401
    with app.app_context():
        assert fetch_value(select(func.count()).where(Session.ended_at.is_(None))) == 0
    run_tasks()
    assert sign_in(client) == 201


def test_more_sessions_end_than_one_step_takes(
    app: Flask, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trellis_auth.services.endings._ENDED_AT_ONCE", 3)
    settle(7)
    with app.app_context():
        assert aftermath.end_sessions() == 7
        assert aftermath.end_sessions() == 0


def test_who_left_after_the_backup_stays_gone(
    app: Flask, client: FlaskClient, place: Place, settle: Settle, run_tasks: RunTasks
) -> None:
    people = settle(2)
    first = make_set(app, place)
    erasure_id = leave(client, people)
    run_tasks()

    back_to(app, place, first)
    with app.app_context():
        assert fetch_value(select(User.id).where(User.id == people.ids[0])) is None
        assert fetch_value(select(Asset.id).where(Asset.owner_id == people.ids[0])) is None
        assert fetch_value(select(User.id).where(User.id == people.ids[1])) is not None
        kept = {key.split("/")[1] for key in objects(place.storage)}
        assert kept == {str(asset) for asset in people.assets[1]}
    assert sign_in(client) == 401
    run_tasks()
    told = client.get(f"/v1/erasures/{erasure_id}").get_json()
    assert told["completed_at"] is not None
    back_to(app, place, first)  # and again
    with app.app_context():
        assert fetch_value(select(User.id).where(User.id == people.ids[0])) is None


def test_who_left_stays_gone_though_no_task_of_it_had_run(
    app: Flask, client: FlaskClient, place: Place, settle: Settle
) -> None:
    people = settle(1)
    make_set(app, place)
    leave(client, people)
    back_to(app, place)
    with app.app_context():
        assert fetch_value(select(User.id).where(User.id == people.ids[0])) is None
    assert sign_in(client) == 401


def test_who_left_stays_gone_though_the_storage_is_lost_too(
    app: Flask, client: FlaskClient, place: Place, settle: Settle, run_tasks: RunTasks
) -> None:
    people = settle(2)
    first = make_set(app, place)
    leave(client, people)
    run_tasks()
    make_set(app, place)
    for key in list(place.storage.list("")):
        place.storage.delete(key)

    back_to(app, place, first)
    with app.app_context():
        assert fetch_value(select(User.id).where(User.id == people.ids[0])) is None
        assert [note.subject for note in journal.notes(place.storage)] == [people.ids[0]]


def test_nothing_is_erased_before_it_is_noted(
    app: Flask, client: FlaskClient, place: Place, settle: Settle, run_tasks: RunTasks
) -> None:
    people = settle(1)
    erasure_id = leave(client, people)

    def broken(*_: object) -> None:
        raise OSError("no storage")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place.storage, "put", broken)
        run_tasks(failures=True)
    with app.app_context():
        assert fetch_value(select(User.id).where(User.id == people.ids[0])) is not None
        for part in erasure.state(erasure_id).parts:
            if part.plugin != erasure.CORE:
                erasure.erase_part(erasure_id, part.plugin)
        [note] = journal.notes(place.storage)
        assert (note.erasure_id, note.subject) == (erasure_id, people.ids[0])


def test_a_plugin_that_cannot_erase_now_does_it_later(
    app: Flask, client: FlaskClient, place: Place, settle: Settle, run_tasks: RunTasks
) -> None:
    people = settle(1)
    make_set(app, place)
    erasure_id = leave(client, people)
    run_tasks()

    def broken(_: UUID) -> dict[str, int]:
        raise OSError("not now")

    with app.app_context():
        from trellis_backup import manifest

        target = place.target()
        rooms = runtime().personal_data["analytics"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rooms, "erase", broken)
            done = restore(target, manifest.chosen(target, None), replace=True)
        assert (done.erased_again, done.unfinished) == (1, ["analytics"])
        assert fetch_value(select(Erasure.completed_at)) is None
    run_tasks()
    assert client.get(f"/v1/erasures/{erasure_id}").get_json()["completed_at"] is not None


def test_no_cursor_of_the_lost_days_fits(
    app: Flask, client: FlaskClient, place: Place, settle: Settle, run_tasks: RunTasks
) -> None:
    make_set(app, place)
    with app.app_context():
        positions: list[int] = []
        for _ in range(2):  # each time from the same set
            settle(2, seed=len(positions))
            back_to(app, place)
            run_tasks()
            head = fetch_all(select(FeedHead.position, FeedHead.trimmed))[0]
            positions.append(head.position)
            assert head.position < 2**53
            assert head.trimmed <= head.position
            assert head.trimmed > (fetch_value(select(func.max(FeedEntry.entry))) or 0)
    assert positions[1] > positions[0]


def test_work_that_was_under_way_goes_on(app: Flask, place: Place, run_tasks: RunTasks) -> None:
    with app.app_context():
        with unit_of_work() as uow:
            uow.enqueue("core.purge_outbox")
        with unit_of_work() as uow:
            uow.session.execute(
                update(OutboxRow).values(leased_until=database_now(3600), fence=3, attempts=1)
            )
    make_set(app, place)
    assert run_tasks() == []
    back_to(app, place)
    assert run_tasks() == ["core.purge_outbox"]


def test_cached_answers_are_gone(app: Flask, place: Place) -> None:
    make_set(app, place)
    with app.app_context():
        cache = Redis.from_url(cache_url(runtime().redis_url))
        cache.set("trellis:test", "of another time")
    back_to(app, place)
    assert cache.get("trellis:test") is None
