"""A target is apart from the storage, of one key, for nobody else, and made by `create` alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from tests.core.backup.conftest import KEY, OTHER_KEY, Place

from trellis.db.secret import fingerprint
from trellis_backup import manifest
from trellis_backup.create import create
from trellis_backup.errors import BackupError
from trellis_backup.target import Target

OVERLAP = "lie one in the other: give a target apart from it"


def test_a_directory_in_the_storage_or_around_it_is_refused(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = tmp_path / "data/the objects"
    storage.mkdir(parents=True)
    core = place.core.model_copy(update={"storage_url": f"file://{storage}"})
    (tmp_path / "link").symlink_to(storage)
    monkeypatch.chdir(tmp_path / "data")
    bad = ["the objects", "the objects/", "the objects/bk/1", "..", ".", "x/../the objects", "/"]
    bad += ["../link", "../link/bk", f"{storage}", f"file://{storage}/bk", storage.as_uri()]
    bad += [f"file://{tmp_path}/data/../link/bk", f"file://{tmp_path}"]
    for address in bad:
        with pytest.raises(BackupError, match=OVERLAP):
            Target(core, address)
    for address in ("the object", "the objects-2", "../the objects", f"file://{storage}.bk"):
        Target(core, address)
    by_link = core.model_copy(update={"storage_url": f"file://{tmp_path}/link"})
    with pytest.raises(BackupError, match=OVERLAP):
        Target(by_link, "the objects/bk")
    assert not any(storage.iterdir())


def test_a_prefix_in_the_storage_or_around_it_is_refused(place: Place) -> None:
    core = place.core.model_copy(update={"storage_url": "s3://files/trellis/"})
    for rest in ("trellis", "trellis/", "trellis/backups", "/trellis//backups", "", "/"):
        with pytest.raises(BackupError, match=OVERLAP):
            Target(core, f"s3://files/{rest}")
    with pytest.raises(BackupError, match=OVERLAP):
        Target(core, "s3://files")
    for address in ("s3://files/trellis-backups", "s3://files/trel", "s3://filesystem/trellis"):
        Target(core, address)
    Target(core, "trellis")
    whole = core.model_copy(update={"storage_url": "s3://files"})
    with pytest.raises(BackupError, match=OVERLAP):
        Target(whole, "s3://files/backups")


@pytest.mark.parametrize(("first", "then"), [(KEY, None), (KEY, OTHER_KEY), (None, KEY)])
def test_a_target_has_one_key(
    app: Flask, any_place: Place, first: str | None, then: str | None
) -> None:
    with app.app_context():
        create(any_place.target(first))
        before = any_place.files()
        with pytest.raises(BackupError, match="give a new target") as error:
            create(any_place.target(then))
        assert any_place.files() == before
        for key in (first, then):
            told = "not sealed" if key is None else fingerprint(key)
            assert told in str(error.value)
        create(any_place.target(first))
        assert len(any_place.target(first).sets()) == 2


@pytest.mark.parametrize(
    "damaged", [b"", bytes(100), b"trellis-sealed-1\nabc"], ids=["empty", "zeros", "cut short"]
)
def test_a_manifest_that_is_damaged_tells_no_key(app: Flask, place: Place, damaged: bytes) -> None:
    with app.app_context():
        create(place.target())
        newest = create(place.target()).manifest.id
        place.sets.put(f"sets/{newest}/manifest", damaged)
        with pytest.raises(BackupError, match="give a new target"):
            create(place.target(None))
        create(place.target())


def test_a_note_of_an_erasure_tells_the_key_when_no_set_does(app: Flask, place: Place) -> None:
    """A restore would have to read it."""
    with app.app_context():
        place.target().write(f"erasures/{uuid4()}", [b"{}"])
        with pytest.raises(BackupError, match="give a new target"):
            create(place.target(OTHER_KEY))


def test_what_a_set_is_made_of_is_for_nobody_else(app: Flask, place: Place, tmp_path: Path) -> None:
    place.storage.put("books/1", b"once upon a time")
    usual = os.umask(0o022)
    try:
        with app.app_context():
            create(place.target(None))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(usual)
    target = tmp_path / "backups"
    modes = {stat.filemode(path.stat().st_mode): path.name for path in [target, *target.rglob("*")]}
    assert set(modes) == {"drwx------", "-rw-------"}, modes


def test_looking_at_a_target_makes_nothing(app: Flask, place: Place, tmp_path: Path) -> None:
    target = place.target()
    with app.app_context():
        assert (target.sets(), list(target.names("objects/"))) == ([], [])
        with pytest.raises(BackupError, match="There is no set in"):
            manifest.chosen(target, None)
    assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize("below", ["", "/x"])
def test_a_target_that_is_a_file_is_named(
    app: Flask, place: Place, tmp_path: Path, below: str
) -> None:
    (tmp_path / "afile").touch()
    place.address = f"{tmp_path}/afile{below}"
    with app.app_context(), pytest.raises(BackupError) as error:
        create(place.target())
    assert f"the target file://{place.address} cannot be used (" in str(error.value)
    assert "storage_url" not in str(error.value).lower()


@pytest.mark.parametrize("prefix", ["a//b", "./a", "a/../b"])
def test_a_prefix_that_cannot_be_is_named(
    app: Flask, place: Place, s3: dict[str, Any], prefix: str
) -> None:
    target = Target(place.core.model_copy(update=s3), f"s3://backups/{prefix}")
    told = f"^the target s3://backups/{prefix} cannot be used "
    with app.app_context(), pytest.raises(BackupError, match=told):
        create(target)


def test_a_bucket_that_is_not_there_is_named(app: Flask, place: Place, s3: dict[str, Any]) -> None:
    core = place.core.model_copy(update=s3)
    for of_target in (create, manifest.set_ids):
        with app.app_context(), pytest.raises(BackupError) as error:
            of_target(Target(core, "s3://nobucket/x"))
        assert str(error.value).startswith("s3://nobucket/x cannot be listed: ")
        assert str(error.value).endswith(": NoSuchBucket")
        assert "xml" not in str(error.value)
