"""`trellis backup`: what each command tells, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from tests.core.backup.conftest import KEY

from trellis.app import create_app as real_create_app
from trellis.cli.main import cli
from trellis.db import migrations
from trellis.db.base import db
from trellis.runtime import Runtime
from trellis_backup import revisions
from trellis_backup.errors import BackupError

Run = Callable[..., Result]


@pytest.fixture
def run(app_environ: object, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("list")`` runs ``trellis backup list`` on the sets of this test, to its exit code."""
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(real_create_app())
        return made[-1]

    monkeypatch.setattr("trellis.app.create_app", create_app)
    monkeypatch.setenv("TRELLIS_BACKUP_KEY", KEY)

    def run(
        command: str, *arguments: str, code: int = 0, target: str = "backups", **environ: str
    ) -> Result:
        words = ["backup", command, target, *arguments]
        result = CliRunner(env=environ).invoke(cli, words, prog_name="trellis")
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        for one in made:  # in life the process ends here, and its connections with it
            with one.app_context():
                db.engine.dispose()
        return result

    return run


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(app: Flask) -> Path:
    """The installation's directory, with an object in its storage."""
    runtime: Runtime = app.extensions["trellis"]
    data = runtime.settings.core.data_dir
    (data / "objects/books").mkdir(parents=True)
    (data / "objects/books/1").write_bytes(b"once upon a time")
    return data


def refusal(result: Result) -> str:
    """What the command says when it cannot do it; `trellis` ends with exit code 2 then."""
    assert isinstance(result.exception, BackupError), result.output
    return str(result.exception)


def test_each_command_tells_what_it_did(run: Run, data: Path) -> None:
    made = run("create").stdout
    assert "1 new object(s) copied" in made
    set_id = made.split()[0]
    assert "0 new object(s) copied" in run("create").stdout
    listed = run("list").stdout.splitlines()
    assert len(listed) == 2
    assert listed[0].startswith(f"{set_id}  ")
    good = run("verify", set_id).stdout.splitlines()
    assert all(line.startswith("good ") for line in good[1:])
    assert len(good) == 6
    (data / "objects/books/1").write_bytes(b"something else")
    told = run("restore", set_id, "--replace").stdout
    assert told.startswith(f"restored  {set_id}  ")
    assert (data / "objects/books/1").read_bytes() == b"once upon a time"


def test_a_set_that_is_not_there_is_refused(run: Run, directory: Path) -> None:
    for command in ("list", "verify", "restore", "secrets"):
        assert "There is no set in" in refusal(run(command, code=1))
        assert not (directory / "backups").exists()
    run("create")
    assert "There is no set 2020 in" in refusal(run("restore", "2020", code=1))


@pytest.mark.parametrize("command", ["create", "list", "verify", "restore", "secrets"])
def test_a_target_in_the_storage_is_refused_by_every_command(
    run: Run, data: Path, command: str
) -> None:
    """A restore deletes what is none of its set's objects: there, the set itself."""
    told = refusal(run(command, code=1, target=f"{data}/objects/bk"))
    assert f"the target {(data / 'objects/bk').as_uri()} and the object storage file://" in told
    assert [path.name for path in (data / "objects").iterdir()] == ["books"]


def test_the_key_of_the_secrets_is_asked_for_before_anything_is_changed(
    app: Flask, run: Run, data: Path
) -> None:
    run("create", "--with-secrets")
    key = (data / "secret_key").read_text().strip()
    assert f"TRELLIS_SECRET_KEYS={key}\n" in run("secrets").stdout
    other = "another-secret-key-of-32-bytes-or-more"
    result = run("restore", "--replace", code=1, TRELLIS_SECRET_KEYS=other)
    assert re.search(r"need the key with fingerprint [0-9a-f]{16};", refusal(result))
    assert key not in refusal(result)
    with app.app_context():
        assert not any(status.pending for status in migrations.status())


def test_secrets_go_into_a_sealed_set_only_and_when_asked_for(
    run: Run, data: Path, directory: Path
) -> None:
    result = run("create", "--with-secrets", code=1, TRELLIS_BACKUP_KEY="")
    assert "set TRELLIS_BACKUP_KEY" in refusal(result)
    run("create", TRELLIS_BACKUP_KEY="")
    assert "made without secrets" in refusal(run("secrets", code=1, TRELLIS_BACKUP_KEY=""))
    key = (data / "secret_key").read_bytes().strip()
    for path in (directory / "backups").rglob("*"):
        assert path.is_dir() or key not in path.read_bytes()


def test_tables_of_a_plugin_that_is_switched_off_are_told_to_be_missing(run: Run) -> None:
    told = "NOT in it, because switched off: tables of analytics."
    assert told in run("create", TRELLIS_PLUGINS__DISABLED="analytics").stdout
    assert told in run("verify").stdout


def test_a_set_of_a_plugin_that_is_not_there_is_refused(run: Run) -> None:
    run("create")
    result = run("restore", "--replace", code=1, TRELLIS_PLUGINS__DISABLED="analytics")
    assert "has tables of analytics: install that first" in refusal(result)


def test_a_database_that_is_not_migrated_makes_no_set(app: Flask, run: Run) -> None:
    with app.app_context():
        migrations.downgrade("media", "base")
    assert "media: run `trellis db upgrade`" in refusal(run("create", code=1))


def test_a_set_of_newer_code_is_refused(
    app: Flask, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("create")
    monkeypatch.setattr(revisions, "unknown", lambda *_: ["media"])
    assert "newer version of media" in refusal(run("restore", "--replace", code=1))


def test_a_broken_set_is_told_with_exit_code_1(run: Run, data: Path, directory: Path) -> None:
    run("create")
    [one] = (directory / "backups/objects").glob("*/*")
    one.write_bytes(one.read_bytes()[:-1])
    told = run("verify", code=1).stdout
    assert re.search(rf"^broken  books/1: .*{one.name}", told, re.MULTILINE)
    assert "1 of them broken" in told
    [manifest] = (directory / "backups/sets").glob("*/manifest")
    manifest.write_bytes(b"x" * 100)
    assert "manifest is not sealed" in run("list", code=1).stdout


def test_a_broken_file_of_many_objects_is_told_once(run: Run, data: Path, directory: Path) -> None:
    for number in (2, 3):
        (data / f"objects/books/{number}").write_bytes(b"once upon a time")
    run("create")
    [one] = (directory / "backups/objects").glob("*/*")
    one.unlink()
    told = run("verify", code=1).stdout
    assert f"broken  books/1 and 2 more: objects/{one.parent.name}/{one.name} is missing." in told
    assert "broken  3 objects: 3 of them broken" in told
    assert told.count(one.name) == told.count("books/") == 1


def test_a_restore_waits_for_trellis_to_be_stopped(app: Flask, run: Run) -> None:
    run("create")
    with app.app_context(), db.engine.connect() as other:
        other.exec_driver_sql("SELECT 1")
        assert re.search("stop (Trellis|it) first", refusal(run("restore", "--replace", code=1)))
    with app.app_context():
        db.engine.dispose()
    run("restore", "--replace")
