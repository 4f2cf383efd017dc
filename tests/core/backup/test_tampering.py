"""Whatever happens to the files of a set is seen, and told by the file's name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from flask import Flask
from tests.core.backup.conftest import KEY, OTHER_KEY, People, Place, contents, objects

from trellis.db import migrations
from trellis.errors import ServiceUnavailable
from trellis_backup import manifest
from trellis_backup.create import create
from trellis_backup.errors import BackupError
from trellis_backup.objects import content, listed
from trellis_backup.restore import restore
from trellis_backup.target import checked, file_name
from trellis_backup.verify import verify

Settle = Callable[..., People]
KEYS = [KEY, None]


def found_wrong(place: Place, key: str | None = KEY) -> str:
    """What is told while every file of the newest set is read; "" when all are as they were."""
    target = place.target(key)
    try:
        found = manifest.chosen(target, None)
        for table in found.tables:
            name = file_name(found.id, f"tables/{table.name}")
            deque(checked(name, target.read(name), table.sha256, table.size), maxlen=0)
        for kept in listed(target, found):
            deque(content(target, kept), maxlen=0)
    except BackupError as error:
        return str(error)
    return ""


def verified(place: Place, key: str | None) -> str:
    """What `verify` tells."""
    target = place.target(key)
    report = verify(target, manifest.chosen(target, None))
    return "\n".join(f"{what}: {wrong}" for what, wrong in report if wrong)


@pytest.fixture(params=KEYS, ids=["sealed", "plain"])
def key(request: pytest.FixtureRequest) -> str | None:
    key: str | None = request.param
    return key


@pytest.fixture
def files(app: Flask, place: Place, settle: Settle, key: str | None) -> dict[str, bytes]:
    """A set's files that hold something."""
    settle()
    with app.app_context():
        create(place.target(key))
        return {name: data for name, data in place.files().items() if data}


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "altered": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "cut short": lambda data: data[:-1],
    "longer": lambda data: data + b"\n",
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_file_that_was_changed_is_told(
    app: Flask, place: Place, files: dict[str, bytes], key: str | None, change: str
) -> None:
    kinds = {name.split("/")[2 if name.startswith("sets/") else 0]: name for name in files}
    assert set(kinds) == {"manifest", "objects", "tables"}
    one_object = next(name for name in files if name.startswith("objects/"))
    with app.app_context():
        assert found_wrong(place, key) == ""
        for name in [*kinds.values(), one_object]:
            if (key, change, name) == (None, "longer", kinds["manifest"]):
                continue  # which still says the same
            place.sets.put(name, CHANGES[change](files[name]))
            assert name in found_wrong(place, key), name
            place.sets.put(name, files[name])
        assert found_wrong(place, key) == ""


def test_every_file_that_is_missing_is_told(
    app: Flask, place: Place, files: dict[str, bytes], key: str | None
) -> None:
    with app.app_context():
        for name, data in files.items():
            if not name.endswith("/manifest"):
                place.sets.delete(name)
                assert f"{name} is missing" in found_wrong(place, key)
                place.sets.put(name, data)


def test_verify_tells_of_all_that_is_broken(
    app: Flask, place: Place, files: dict[str, bytes], key: str | None
) -> None:
    table = next(name for name in files if name.endswith("/tables/auth_user"))
    one, other, *_ = (name for name in files if name.startswith("objects/"))
    for name in (table, one):
        place.sets.put(name, files[name][:-1])
    place.sets.delete(other)
    with app.app_context():
        told = verified(place, key)
    assert table in told
    assert one in told
    assert f"{other} is missing" in told


def test_files_that_changed_places_are_told(
    app: Flask, place: Place, files: dict[str, bytes], key: str | None
) -> None:
    one, other, *_ = (name for name in files if "/tables/" in name)
    with app.app_context():
        place.sets.put(one, files[other])
        place.sets.put(other, files[one])
        assert one in found_wrong(place, key) or other in found_wrong(place, key)


def test_a_sealed_set_needs_its_key(app: Flask, place: Place, settle: Settle) -> None:
    with app.app_context():
        create(place.target())
        assert "needs" not in found_wrong(place)
        assert "is sealed under the key with fingerprint" in found_wrong(place, OTHER_KEY)
        assert "is sealed: set TRELLIS_BACKUP_KEY" in found_wrong(place, None)


def test_a_set_that_anybody_may_have_put_there_is_refused(app: Flask, place: Place) -> None:
    with app.app_context():
        create(place.target(None))
        assert "is not sealed, and TRELLIS_BACKUP_KEY is set" in found_wrong(place)


@pytest.mark.parametrize("lost", ["/tables/media_asset", "/objects", "objects/"])
def test_a_restore_of_a_broken_set_changes_nothing(
    app: Flask, place: Place, files: dict[str, bytes], key: str | None, lost: str
) -> None:
    name = next(name for name in files if name.startswith(lost) or name.endswith(lost))
    with app.app_context():
        target = place.target(key)
        found = manifest.chosen(target, None)
        place.storage.put("books/newer", b"than the set")
        for key_of_one in objects(place.storage):
            place.storage.put(key_of_one, b"other than in the set")
        before = contents(), objects(place.storage)
        for rest in (files[name][:-1], None):
            place.sets.delete(name)
            if rest is not None:
                place.sets.put(name, rest)
            with pytest.raises(BackupError, match=name):
                restore(target, found, replace=True)
            assert (contents(), objects(place.storage)) == before
            assert not any(status.pending for status in migrations.status())


def test_what_the_storage_still_has_is_not_needed_of_the_set(
    app: Flask, place: Place, settle: Settle
) -> None:
    settle()
    with app.app_context():
        found = create(place.target()).manifest
        before = objects(place.storage)
        for name in list(place.sets.list("objects/")):
            place.sets.delete(name)
        restore(place.target(), found, replace=True)
        assert objects(place.storage) == before


def test_a_restore_that_was_cut_off_is_run_again_without_a_word_of_replacing(
    app: Flask, place: Place, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is none that serves, until then."""
    settle()
    with app.app_context():
        found = create(place.target()).manifest
        before = contents()

        def put(*_: object) -> None:
            raise ServiceUnavailable("The disk is full.")

        place.storage.delete(next(iter(objects(place.storage))))
        with monkeypatch.context() as patch, pytest.raises(BackupError, match="full"):
            patch.setattr(place.storage, "put", put)
            restore(place.target(), found, replace=True)
        assert "core" in [status.owner for status in migrations.status() if status.pending]
        restore(place.target(), found)
        assert contents()["media_asset"] == before["media_asset"]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"null", b"[]", b'{"format": 2}', b"\xff", b'{"format": 1, "id": "x"}'],
)
def test_what_is_no_manifest_is_refused(app: Flask, place: Place, text: bytes) -> None:
    with app.app_context():
        made = create(place.target(None)).manifest
        name = f"sets/{made.id}/manifest"
        place.sets.put(name, text)
        assert name in found_wrong(place, None)


def test_the_manifest_of_another_set_is_refused(app: Flask, place: Place) -> None:
    with app.app_context():
        first, second = (create(place.target(None)).manifest for _ in range(2))
        place.sets.put(f"sets/{second.id}/manifest", place.files()[f"sets/{first.id}/manifest"])
        assert "another set" in found_wrong(place, None)
