"""Each owner of tables migrates alone: up, down and up again, without touching another's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import MetaData, Table, inspect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from trellis.db import Model, fetch_value, migrations, utcnow
from trellis.db.base import db
from trellis.db.migrations import CORE, config
from trellis.errors import StartError
from trellis.loader.models import tables
from trellis.observe.audit import record
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work

BUNDLED = ("analytics", "auth", "media", "notifications", "webhooks")
OWNERS = (CORE, *BUNDLED)


def existing() -> set[str]:
    with db.engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def owned(owner: str) -> set[str]:
    return {name for name in existing() if name.startswith(f"{owner}_")}


def described(owner: str) -> dict[str, set[str]]:
    """The owner's tables as the database itself describes them: the lines that would make them."""
    metadata = MetaData()
    with db.engine.connect() as connection:
        metadata.reflect(connection, only=list(owned(owner)))
        return {
            name: {
                line.strip(" ,\t")
                for made in _makers(table)
                for line in str(made.compile(connection)).splitlines()
            }
            for name, table in metadata.tables.items()
        }


def _makers(table: Table) -> list[ExecutableDDLElement]:
    return [CreateTable(table), *(CreateIndex(index) for index in table.indexes)]


@pytest.fixture
def status(app: Flask) -> dict[str, migrations.Status]:
    with app.app_context():
        return {status.owner: status for status in migrations.status()}


def test_every_owner_has_a_version_table_of_its_own(
    app_context: None, status: dict[str, migrations.Status]
) -> None:
    assert next(iter(migrations.owners())) == CORE
    assert set(OWNERS) <= set(status)
    assert {f"{owner}_alembic_version" for owner in OWNERS} <= existing()
    assert all(status[owner].at_head and status[owner].head for owner in OWNERS)


def test_every_table_belongs_to_somebody_who_is_loaded(app: Flask) -> None:
    with app.app_context():
        known = {f"{owner}_" for owner in migrations.owners()}
        assert all(name.startswith(tuple(known)) for name in existing())


@pytest.mark.parametrize("owner", OWNERS)
def test_models_equal_migrations(app: Flask, owner: str) -> None:
    with app.app_context():
        assert migrations.drift(owner) is None


@pytest.mark.parametrize("owner", OWNERS)
def test_up_down_and_up_again(app: Flask, owner: str) -> None:
    with app.app_context():
        before = described(owner)
        others = {other: described(other) for other in OWNERS if other != owner}
        migrations.downgrade(owner, "base")
        assert owned(owner) == {f"{owner}_alembic_version"}
        assert not next(s for s in migrations.status() if s.owner == owner).at_head
        migrations.upgrade(owner)
        assert described(owner) == before
        assert {other: described(other) for other in others} == others
        assert migrations.drift(owner) is None


@pytest.mark.parametrize("owner", OWNERS)
def test_each_revision_can_be_taken_back(app: Flask, owner: str) -> None:
    with app.app_context():
        with db.engine.connect() as connection:
            script = ScriptDirectory.from_config(config(owner, connection))
            revisions = len(list(script.walk_revisions()))
            assert len(script.get_heads()) == 1
        for _ in range(revisions):
            migrations.downgrade(owner, "-1")
        assert owned(owner) == {f"{owner}_alembic_version"}
        migrations.upgrade()
        assert all(found.at_head for found in migrations.status())


@pytest.mark.parametrize("owner", OWNERS)
def test_f27_code_of_the_revision_before_works_on_the_schema_after(app: Flask, owner: str) -> None:
    """Every revision only expands: nothing goes, and an insert needs no value that it adds."""
    with app.app_context():
        after = needed(owner)
        while after:
            migrations.downgrade(owner, "-1")
            before = needed(owner)
            for table, columns in before.items():
                assert columns.keys() <= after[table].keys(), table
                demanded = {name for name, needs in after[table].items() if needs}
                assert demanded <= {name for name, needs in columns.items() if needs}, table
            after = before


def needed(owner: str) -> dict[str, dict[str, bool]]:
    """Of each of the owner's tables the columns, and whether an insert has to give a value."""
    with db.engine.connect() as connection:
        inspector = inspect(connection)
        return {
            table: {
                column["name"]: not column["nullable"] and column["default"] is None
                for column in inspector.get_columns(table)
            }
            for table in owned(owner) - {f"{owner}_alembic_version"}
        }


def test_a_newer_schema_than_the_code_is_left_alone(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE media_alembic_version SET version_num = 'later'")
        migrations.upgrade()
        status = next(s for s in migrations.status() if s.owner == "media")
        assert (status.current, status.known, status.pending) == ("later", False, False)
    ready = client.get("/health/ready").get_json()
    assert ready["checks"]["migrations"] == "ok"


def test_a_migrator_that_does_not_end_is_not_waited_for_for_ever(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_MIGRATOR_SECONDS", 0.2)
    with app.app_context(), migrations.locked(), pytest.raises(StartError, match="migration"):
        migrations.upgrade()


def test_a_difference_between_models_and_migrations_is_seen(app: Flask) -> None:
    stray = Table("media_stray", Model.metadata)
    try:
        with app.app_context():
            assert "media_stray" in (migrations.drift("media") or "")
            assert migrations.drift("auth") is None
    finally:
        Model.metadata.remove(stray)


def test_a_column_that_no_revision_makes_is_seen(app: Flask) -> None:
    with app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE media_asset ADD COLUMN stray TEXT")
        assert "stray" in (migrations.drift("media") or "")


def test_two_migrators_at_once_wait_for_one_another(app: Flask) -> None:
    with app.app_context():
        for owner in OWNERS[::-1]:
            migrations.downgrade(owner, "base")

    def migrate(_: int) -> None:
        with app.app_context():
            migrations.upgrade()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(migrate, range(3)))
    with app.app_context():
        assert all(status.at_head for status in migrations.status())
        assert all(migrations.drift(owner) is None for owner in OWNERS)


@pytest.mark.parametrize("pending", [["notifications"], ["auth", "media"], ["core"]])
def test_what_is_pending_is_applied_though_others_are_up_to_date(
    app: Flask, pending: list[str]
) -> None:
    with app.app_context():
        for owner in pending:
            migrations.downgrade(owner, "base")
        migrations.upgrade()
        assert all(status.at_head for status in migrations.status())


def test_upgrading_again_changes_nothing_and_keeps_the_rows(app: Flask) -> None:
    with app.app_context():
        with unit_of_work() as uow:
            record(uow, "core.tested")
        migrations.upgrade()
        table = Model.metadata.tables["core_audit"]
        assert fetch_value(table.select().with_only_columns(table.c.action)) == "core.tested"
        assert utcnow() >= fetch_value(table.select().with_only_columns(table.c.at))


def test_a_plugin_that_is_gone_leaves_the_others_to_migrate(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime: Runtime = app.extensions["trellis"]
    rest = {name: plugin for name, plugin in runtime.plugins.items() if name != "media"}
    monkeypatch.setattr(runtime, "plugins", rest)
    with app.app_context():
        migrations.downgrade("auth", "base")
        migrations.upgrade()
        assert "media" not in {status.owner for status in migrations.status()}
        assert all(status.at_head for status in migrations.status())
        assert "media_asset" in existing()


def test_nobody_migrates_for_a_stranger(app: Flask) -> None:
    with app.app_context():
        for act in (migrations.upgrade, migrations.drift):
            with pytest.raises(LookupError, match="'nobody' owns no migrations"):
                act("nobody")


def test_a_new_revision_is_written_from_the_models(
    app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with app.app_context():
        real = migrations.owners()
        (tmp_path / "versions").mkdir()
        for path in real["media"].glob("*.py"):
            (tmp_path / "versions" / path.name).write_text(path.read_text())
        monkeypatch.setattr(migrations, "owners", lambda: real | {"media": tmp_path / "versions"})
        before = set((tmp_path / "versions").glob("*.py"))
        migrations.downgrade("media", "base")
        for path in before:
            path.unlink()
        migrations.revise("media", "All anew")
        [made] = (tmp_path / "versions").glob("*.py")
        assert made.stem.endswith("_all_anew")
        compile(made.read_text(), made.name, "exec")
        migrations.upgrade("media")
        assert migrations.drift("media") is None
        tables_of_media = {
            table.name for table in tables(app.extensions["trellis"].plugins["media"])
        }
        assert tables_of_media <= existing()
