"""`PluginContract` fails for a plugin that breaks it: each of its tests is shown a bad case."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from flask import Flask

import trellis_media.errors
import trellis_media.events
from trellis.api import Public, Requires, User, ViewAccess
from trellis.db import migrations
from trellis.errors import DomainError
from trellis.events import Event
from trellis.plugin import Plugin
from trellis.runtime import LoadedPlugin, PersonalDataRooms, Runtime
from trellis.task import Options, Task
from trellis.testing import PluginContract, contract

RunTasks = Callable[..., list[str]]
NewId = Callable[[], UUID]


class Media(PluginContract):
    """The contract of a bundled plugin, of which each test here spoils a part."""

    __test__ = False
    plugin = "media"


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


@pytest.fixture
def media(runtime: Runtime) -> LoadedPlugin:
    return runtime.plugins["media"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LoadedPlugin]:
    """``written(api="…")`` is a plugin with these rooms in its package."""

    def written(**rooms: str) -> LoadedPlugin:
        for name, source in rooms.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)
        (tmp_path / "plugin.py").write_text(
            "from trellis.plugin import Plugin\nclass Written(Plugin):\n    name = 'media'\n"
        )
        spec = importlib.util.spec_from_file_location("written_plugin", tmp_path / "plugin.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, "written_plugin", module)
        return LoadedPlugin(module.Written(), package="written_plugin", version="1.0")

    return written


def test_a_class_without_a_title(media: LoadedPlugin) -> None:
    class Untitled(Plugin):
        name = "media"

    with pytest.raises(AssertionError, match="needs a docstring"):
        Media().test_has_a_title(replace(media, plugin=Untitled()))


def test_a_room_that_is_none(written: Callable[..., LoadedPlugin]) -> None:
    Media().test_has_the_rooms_that_all_plugins_have(written(services="", api=""))
    with pytest.raises(AssertionError, match="no room is called utils"):
        Media().test_has_the_rooms_that_all_plugins_have(written(utils=""))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("services", "from trellis.feed.reader import head"),
        ("services", "from trellis_auth import services"),
        ("services", "session.commit()"),
        ("services", "import rq"),
        ("services__deep", "db.session.add(1)"),
        ("api", "from trellis.unit_of_work import unit_of_work"),
        ("tasks", "from trellis.unit_of_work import unit_of_work"),
        ("factories", "from trellis.unit_of_work import unit_of_work"),
    ],
)
def test_source_that_leaves_its_borders(
    written: Callable[..., LoadedPlugin], runtime: Runtime, room: str, source: str
) -> None:
    with pytest.raises(AssertionError, match=rf"{room.partition('__')[0]}.*:1: "):
        Media().test_stays_within_its_borders(written(**{room: source}), runtime)


def test_source_within_its_borders(written: Callable[..., LoadedPlugin], runtime: Runtime) -> None:
    fine = written(
        services="from trellis.unit_of_work import unit_of_work",
        services__deep="from trellis.unit_of_work import unit_of_work",
    )
    Media().test_stays_within_its_borders(fine, runtime)


def test_models_that_no_migration_makes(
    app: Flask, media: LoadedPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "drift", lambda _: "add column `stray`")
    with pytest.raises(AssertionError, match="add column `stray`"):
        Media().test_models_equal_migrations(app, media)


def test_a_downgrade_that_leaves_something(
    app: Flask, media: LoadedPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "downgrade", lambda owner, revision: None)
    with pytest.raises(AssertionError, match="the downgrade leaves media_asset"):
        Media().test_migrations_go_up_down_and_up(app, media)


@pytest.mark.parametrize(
    ("rule", "path", "told"),
    [
        (User(), "/health/live", "answers 200 OK to nobody"),
        (Public("a test"), "/v1/media/assets", "401 UNAUTHORIZED to nobody, though it is public"),
    ],
)
def test_a_route_that_lets_the_wrong_people_in(
    app: Flask, monkeypatch: pytest.MonkeyPatch, rule: Any, path: str, told: str
) -> None:
    view = ViewAccess("media.list_assets", "GET", path, rule)
    monkeypatch.setattr(contract, "view_access", lambda _: [view])
    with pytest.raises(AssertionError, match=told):
        Media().test_anonymous_callers_are_refused(app)


def test_a_route_that_asks_for_no_permission(
    app: Flask, as_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = ViewAccess("media.list_assets", "GET", "/v1/media/assets", Requires("media.look"))
    monkeypatch.setattr(contract, "view_access", lambda _: [view])
    with pytest.raises(AssertionError, match="answers 200 OK to anybody"):
        Media().test_callers_without_the_permission_are_refused(app, as_user)


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("/a/<uuid:id>/b", "/a/00000000-0000-7000-8000-000000000000/b"),
        ("/a/<name>", "/a/00000000-0000-7000-8000-000000000000"),
        ("/a/<int:number>.<int(min=1):other>", "/a/1.1"),
    ],
)
def test_addresses_are_filled_in(path: str, filled: str) -> None:
    assert contract._path(ViewAccess("", "GET", path, None)) == filled


def test_an_error_of_another_s_name(media: LoadedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stray(DomainError):
        """It got lost."""

        code = "auth.stray"

    monkeypatch.setattr(Stray, "__module__", "trellis_media.errors")
    monkeypatch.setattr(trellis_media.errors, "Stray", Stray, raising=False)
    with pytest.raises(AssertionError, match=r"Stray: auth\.stray"):
        Media().test_errors_carry_the_prefix(media)


def test_an_event_that_nobody_publishes(
    media: LoadedPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Unheard(Event):
        resource: ClassVar[str] = "asset"
        operation = "created"

    monkeypatch.setattr(Unheard, "__module__", "trellis_media.events")
    monkeypatch.setattr(trellis_media.events, "Unheard", Unheard, raising=False)
    with pytest.raises(AssertionError, match="Unheard is not in `publishes`"):
        Media().test_events_are_published_and_plain(media)


def test_a_task_that_takes_what_json_does_not_know(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(asset_id: UUID) -> None: ...

    monkeypatch.setitem(runtime.tasks, "media.look", Task("media.look", look, Options()))
    with pytest.raises(AssertionError, match=r"media\.look: asset_id is UUID"):
        Media().test_tasks_take_json_arguments(runtime)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ({"erase": lambda _: {}}, "the export still shows something"),
        ({"export": lambda _: {"assets": []}}, "does not show what populate made"),
        ({"export": lambda user_id: {"assets": [str(user_id)]}}, "still shows something"),
    ],
)
def test_an_erasure_that_leaves_something(
    app: Flask,
    media: LoadedPlugin,
    runtime: Runtime,
    new_user_id: NewId,
    run_tasks: RunTasks,
    monkeypatch: pytest.MonkeyPatch,
    spoil: dict[str, Any],
    told: str,
) -> None:
    spoilt = replace(runtime.personal_data["media"], **spoil)
    monkeypatch.setitem(runtime.personal_data, "media", spoilt)
    with pytest.raises(AssertionError, match=told):
        Media().test_erasure_removes_what_the_export_shows(
            app, media, runtime, new_user_id, run_tasks
        )


def test_an_erasure_that_takes_from_somebody_else(
    app: Flask,
    media: LoadedPlugin,
    runtime: Runtime,
    new_user_id: NewId,
    run_tasks: RunTasks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = runtime.personal_data["media"]
    ids = [new_user_id(), new_user_id()]

    def erase_everybody(user_id: UUID) -> Any:
        return {name: count for one in ids for name, count in real.erase(one).items()}

    monkeypatch.setattr(contract, "_accounts", lambda _: ids)
    greedy = PersonalDataRooms(real.export, erase_everybody)
    monkeypatch.setitem(runtime.personal_data, "media", greedy)
    with pytest.raises(AssertionError, match="took from somebody else"):
        Media().test_erasure_removes_what_the_export_shows(
            app, media, runtime, new_user_id, run_tasks
        )


def test_an_erasure_of_nobody_that_finds_somebody(
    app: Flask, runtime: Runtime, new_user_id: NewId, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = PersonalDataRooms(lambda _: {}, lambda _: {"assets": 1})
    monkeypatch.setitem(runtime.personal_data, "media", found)
    with pytest.raises(AssertionError, match="erasing nobody erased"):
        Media().test_export_of_nobody_is_empty_and_erasing_nobody_harmless(
            app, runtime, new_user_id
        )
