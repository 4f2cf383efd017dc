"""A set holds everything; what comes back from it is what was there, wherever it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select, update
from tests.core.backup.conftest import KEY, People, Place, contents, objects

from trellis.contracts import BlobStore, port
from trellis.db import database_now, fetch_value
from trellis.db.installation import Installation
from trellis.feed.models import FeedEntry
from trellis.unit_of_work import unit_of_work
from trellis_auth.models import User
from trellis_backup import manifest
from trellis_backup.create import create
from trellis_backup.errors import BackupError
from trellis_backup.restore import restore
from trellis_backup.verify import verify

Settle = Callable[..., People]

# What a restore changes on purpose, and what it adds to.
CHANGED = (
    "auth_session",
    "core_audit",
    "core_feed_entry",
    "core_feed_head",
    "core_installation",
    "core_outbox",
)


def faults(place: Place, key: str | None = KEY) -> list[str]:
    target = place.target(key)
    report = verify(target, manifest.chosen(target, None))
    return [f"{what}: {wrong}" for what, wrong in report if wrong]


@pytest.mark.parametrize("key", [KEY, None])
def test_what_is_restored_is_what_was_there(
    app: Flask, any_place: Place, settle: Settle, key: str | None
) -> None:
    settle()
    target = any_place.target(key)
    with app.app_context():
        before, stored = contents(*CHANGED), objects(any_place.storage)
        assert sum(map(len, before.values())) > 10
        assert len(stored) > 4
        made = create(target)
        assert made.copied == len(set(stored.values()))
        assert faults(any_place, key) == []

        settle(seed=7)
        with unit_of_work() as uow:
            uow.session.execute(update(User).values(role="operator"))
        any_place.storage.delete(next(iter(stored)))
        any_place.storage.put(list(stored)[1], b"something else")

        restore(target, made.manifest, replace=True)
        assert contents(*CHANGED) == before
        assert objects(any_place.storage) == stored


def test_the_second_set_takes_new_objects_only(
    app: Flask, any_place: Place, settle: Settle
) -> None:
    settle()
    target = any_place.target()
    with app.app_context():
        create(target)
        files = set(any_place.files())
        assert create(target).copied == 0
        again = set(any_place.files())
        assert not [name for name in again - files if name.startswith("objects/")]

        any_place.storage.put("books/new", b"new")
        any_place.storage.put("books/same-as-new", b"new")
        assert create(target).copied == 1
        assert len(target.sets()) == 3
        # A file of the target that is lost is written again, though the storage has not changed.
        lost = target.object_name(next(iter(_objects(place=any_place))))
        any_place.sets.delete(lost)
        assert faults(any_place) != []
        assert create(target).copied == 1
        assert faults(any_place) == []


def _objects(place: Place) -> list[str]:
    from trellis_backup.objects import listed

    target = place.target()
    return [kept.sha256 for kept in listed(target, manifest.chosen(target, None))]


def test_everything_before_the_point_is_in_the_set(app: Flask, place: Place) -> None:
    with app.app_context():
        before = fetch_value(select(database_now()))
        made = create(place.target())
        assert before <= made.manifest.point <= fetch_value(select(database_now()))


def test_a_set_can_be_restored_where_there_is_nothing(
    app: Flask, place: Place, settle: Settle
) -> None:
    from sqlalchemy import MetaData

    from trellis.db.base import db

    settle()
    with app.app_context():
        before = contents(*CHANGED)
        stored = objects(place.storage)
        made = create(place.target())
        with pytest.raises(BackupError, match="database is not empty"):
            restore(place.target(), made.manifest)
        everything = MetaData()
        everything.reflect(db.engine)
        with db.engine.connect() as connection:
            everything.drop_all(connection)
            connection.commit()
        with pytest.raises(BackupError, match="storage is not empty"):
            restore(place.target(), made.manifest)
        for key in stored:
            place.storage.delete(key)
        restore(place.target(), made.manifest)
        assert contents(*CHANGED) == before
        assert objects(place.storage) == stored


def test_numbers_that_were_given_are_not_given_again(
    app: Flask, place: Place, settle: Settle
) -> None:
    entry = {
        "type": "core.thing_done/1",
        "resource": "thing",
        "resource_id": "1",
        "operation": "created",
        "payload": {},
        "created_at": database_now(),
    }

    def append() -> int:
        from trellis.db import new_id

        with unit_of_work() as uow:
            statement = insert(FeedEntry).values({**entry, "event_id": new_id()})
            return int(uow.session.scalars(statement.returning(FeedEntry.entry)).one())

    with app.app_context():
        last = [append() for _ in range(5)][-1]
        with unit_of_work() as uow:
            uow.session.execute(delete(FeedEntry))
        made = create(place.target())
        restore(place.target(), made.manifest, replace=True)
        assert append() > last


def test_the_storage_gets_a_new_mark(app: Flask, place: Place) -> None:
    with app.app_context():
        made = create(place.target())
        mark = select(Installation.storage_id)
        before = fetch_value(mark)
        restore(place.target(), made.manifest, replace=True)
        assert fetch_value(mark) not in (None, before)
        assert b"".join(port(BlobStore).read(".trellis/storage-id")).decode() == fetch_value(mark)


def test_a_set_without_a_manifest_is_none(app: Flask, place: Place) -> None:
    with app.app_context():
        made = create(place.target())
        place.sets.delete(f"sets/{made.manifest.id}/manifest")
        assert place.target().sets() == []
        with pytest.raises(BackupError, match="There is no set"):
            manifest.chosen(place.target(), None)
        create(place.target())
        assert faults(place) == []


def test_a_target_is_a_directory_or_s3(app: Flask, tmp_path: Path) -> None:
    from trellis.settings import Settings
    from trellis_backup.target import Target

    with app.app_context():
        core = Settings.current()
        assert Target(core, str(tmp_path / "a b")).address == (tmp_path / "a b").as_uri()
        for address in ("ftp://example.com/x", "https://example.com/x"):
            with pytest.raises(BackupError, match="a target is"):
                Target(core, address)
