"""What every plugin must hold, as a test class: subclass it and name the plugin.

class TestMedia(PluginContract):
    plugin = "media"
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import inspect as reflect
from sqlalchemy import select

from trellis.api import Public, Requires, ViewAccess, view_access
from trellis.api.requests import EXTENSION
from trellis.contracts import BlobStore, Identity
from trellis.db import fetch_all, migrations
from trellis.db.base import db
from trellis.errors import DomainError
from trellis.events import Event
from trellis.loader.models import tables
from trellis.loader.rooms import room
from trellis.runtime import LoadedPlugin, Runtime
from trellis.testing import borders
from trellis.unit_of_work import unit_of_work

ROOMS = frozenset([
    "plugin", "settings", "errors", "events", "models", "schemas", "services", "api", "tasks",
    "listeners", "factories", "cli", "perf", "migrations",
])  # fmt: skip
_JSON_TYPES = {"str", "int", "float", "bool", "list", "dict", "None", "Any"}
_PARAMETER = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>")
_SOME_ID = "00000000-0000-7000-8000-000000000000"


class PluginContract:
    """Standard tests of one plugin, run in an application with everything that is installed."""

    plugin: ClassVar[str]

    @pytest.fixture
    def runtime(self, app: Flask) -> Runtime:
        """What the application has loaded."""
        runtime: Runtime = app.extensions["trellis"]
        return runtime

    @pytest.fixture
    def loaded(self, runtime: Runtime) -> LoadedPlugin:
        """The plugin under test."""
        assert self.plugin in runtime.plugins, f"loaded are only {', '.join(runtime.plugins)}"
        return runtime.plugins[self.plugin]

    # --- the source -----------------------------------------------------------------------------

    def test_has_a_title(self, loaded: LoadedPlugin) -> None:
        assert (type(loaded.plugin).__doc__ or "").strip(), (
            "the class needs a docstring: its first line is the title"
        )

    def test_has_the_rooms_that_all_plugins_have(self, loaded: LoadedPlugin) -> None:
        package = _package(loaded)
        modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
        modules |= {path.parent.name for path in package.glob("*/__init__.py")}
        assert modules <= ROOMS, f"no room is called {', '.join(sorted(modules - ROOMS))}"

    def test_stays_within_its_borders(self, loaded: LoadedPlugin, runtime: Runtime) -> None:
        package = _package(loaded)
        others = {other.package for other in runtime.plugins.values()} - {loaded.package}
        rules = (
            borders.leaves_the_public_core,
            borders.ends_a_transaction,
            borders.opens_a_session,
            borders.enqueues,
            borders.imports_any_of(others),
        )
        found = list(borders.breaches(package.rglob("*.py"), *rules))
        for path in package.rglob("*.py"):
            if path.relative_to(package).parts[0].removesuffix(".py") != "services":
                found += borders.breaches([path], borders.opens_a_unit)
        assert not found, "\n".join(["", *map(str, found)])

    # --- its database ---------------------------------------------------------------------------

    def test_tables_carry_the_prefix(self, loaded: LoadedPlugin) -> None:
        for table in tables(loaded):
            assert table.name.startswith(f"{self.plugin}_"), f"{table.name} has another prefix"

    def test_models_equal_migrations(self, app: Flask, loaded: LoadedPlugin) -> None:
        if not tables(loaded):
            return
        with app.app_context():
            drift = migrations.drift(self.plugin)
        assert drift is None, f"`trellis db revise` writes what is missing: {drift}"

    def test_migrations_go_up_down_and_up(self, app: Flask, loaded: LoadedPlugin) -> None:
        if not tables(loaded):
            return
        with app.app_context():
            migrations.downgrade(self.plugin, "base")
            left = {name for name in _table_names() if name.startswith(f"{self.plugin}_")}
            left -= {f"{self.plugin}_alembic_version"}
            assert not left, f"the downgrade leaves {', '.join(sorted(left))}"
            migrations.upgrade(self.plugin)
            missing = {table.name for table in tables(loaded)} - _table_names()
            assert not missing, f"no revision makes {', '.join(sorted(missing))}"

    # --- its routes -----------------------------------------------------------------------------

    def test_anonymous_callers_are_refused(self, app: Flask) -> None:
        client = app.test_client()
        for view in self._views(app):
            response = client.open(_path(view), method=view.method)
            told = f"{view} answers {response.status} to nobody"
            if isinstance(view.rule, Public):
                assert response.status_code not in (401, 403), f"{told}, though it is public"
            else:
                assert response.status_code == 401, told
                assert "WWW-Authenticate" in response.headers, f"{told} without a challenge"

    def test_callers_without_the_permission_are_refused(
        self, app: Flask, as_user: Callable[..., Any]
    ) -> None:
        client, nobody_special = app.test_client(), as_user()
        for view in self._views(app):
            if isinstance(view.rule, Requires):
                answer = client.open(_path(view), method=view.method, headers=nobody_special)
                assert answer.status_code == 403, f"{view} answers {answer.status} to anybody"

    def test_operations_are_documented(self, app: Flask) -> None:
        for name, operation in _operations(app, self.plugin):
            assert operation.get("summary"), f"{name}: the view needs a docstring"
            assert operation["operationId"].startswith(f"{self.plugin}_"), name
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            assert body is None or "example" in body or "examples" in body, f"{name}: no example"
            assert set(operation["responses"]) - {"default"}, f"{name}: no answer is stated"

    # --- what it declares -----------------------------------------------------------------------

    def test_settings_are_described(self, runtime: Runtime) -> None:
        settings = runtime.settings.plugins.get(self.plugin)
        for name, field in type(settings).model_fields.items() if settings else ():
            assert field.description, f"{self.plugin}.{name} needs a description"

    def test_errors_carry_the_prefix(self, loaded: LoadedPlugin) -> None:
        for error in _classes(loaded, "errors", DomainError):
            assert error.code.startswith(f"{self.plugin}."), f"{error.__name__}: {error.code}"
            assert error.__doc__, f"{error.__name__} needs a docstring: /docs/errors shows it"

    def test_events_are_published_and_plain(self, loaded: LoadedPlugin) -> None:
        published = {reference.partition(":")[2] for reference in loaded.plugin.publishes}
        for event in _classes(loaded, "events", Event):
            name = event.__name__
            assert name in published, f"{name} is not in `publishes`"
            assert dataclasses.is_dataclass(event), f"{name} is no dataclass"
            assert event.__dataclass_params__.frozen, f"{name} is not frozen"  # type: ignore[attr-defined]
            operation = getattr(event, "operation", None)
            assert operation in ("created", "updated", "deleted"), f"{name}: {operation=}"
            assert getattr(event, "resource", ""), f"{name} names no resource"

    def test_tasks_take_json_arguments(self, runtime: Runtime) -> None:
        for name, task in runtime.tasks.items():
            if name.startswith(f"{self.plugin}."):
                for parameter in inspect.signature(task.function).parameters.values():
                    annotation = str(
                        parameter.annotation
                        if isinstance(parameter.annotation, str)
                        else inspect.formatannotation(parameter.annotation)
                    )
                    words = {word.split("[")[0].strip() for word in annotation.split("|")}
                    assert words <= _JSON_TYPES, f"{name}: {parameter.name} is {annotation}"

    # --- what it holds of a person --------------------------------------------------------------

    def test_export_of_nobody_is_empty_and_erasing_nobody_harmless(
        self, app: Flask, runtime: Runtime, new_user_id: Callable[[], UUID]
    ) -> None:
        rooms = runtime.personal_data.get(self.plugin)
        if rooms is None:
            return
        nobody = new_user_id()
        with app.app_context():
            exported = rooms.export(nobody)
            assert not any(exported.values()), f"the export of nobody shows {exported}"
            for _ in range(2):
                with unit_of_work():
                    erased = rooms.erase(nobody)
                assert not any(erased.values()), f"erasing nobody erased {erased}"

    def test_erasure_removes_what_the_export_shows(
        self,
        app: Flask,
        loaded: LoadedPlugin,
        runtime: Runtime,
        new_user_id: Callable[[], UUID],
        run_tasks: Callable[..., list[str]],
    ) -> None:
        """The resources are those that `populate` in ``factories.py`` makes."""
        rooms = runtime.personal_data.get(self.plugin)
        populate = getattr(room(loaded, "factories"), "populate", None)
        if rooms is None or populate is None:
            return
        with app.app_context():
            ada, bob = people = _accounts(runtime) or [new_user_id(), new_user_id()]
            populate(people, seed=1)
            exported = json.dumps(dict(rooms.export(ada)))
            bobs = _rows_of(loaded, bob)
            assert any(rooms.export(ada).values()), "the export does not show what populate made"
            assert str(bob) not in exported, "the export of one person shows another one"
            for _ in range(2):
                with unit_of_work():
                    rooms.erase(ada)
            run_tasks()
            assert not any(rooms.export(ada).values()), "the export still shows something"
            assert not _rows_of(loaded, ada), f"rows still name the person: {_rows_of(loaded, ada)}"
            assert _rows_of(loaded, bob) == bobs, "the erasure took from somebody else"
            with unit_of_work():
                rooms.erase(bob)
            run_tasks()
            store: Any = runtime.ports[BlobStore]
            assert not list(store.list(f"{self.plugin}/")), "files of erased people are left"

    def _views(self, app: Flask) -> Iterator[ViewAccess]:
        for view in view_access(app):
            blueprint = app.blueprints.get(view.endpoint.rpartition(".")[0])
            if getattr(blueprint, "plugin", None) == self.plugin:
                yield view


def _package(loaded: LoadedPlugin) -> Path:
    return Path(inspect.getfile(type(loaded.plugin))).parent


def _path(view: ViewAccess) -> str:
    """The view's address with something in place of each parameter."""
    return _PARAMETER.sub(
        lambda found: "1" if found[1] in ("int", "float") else _SOME_ID, view.path
    )


def _table_names() -> set[str]:
    with db.engine.connect() as connection:
        return set(reflect(connection).get_table_names())


def _operations(app: Flask, plugin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    document = app.extensions[EXTENSION].document()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and plugin in operation.get("tags", ()):
                yield f"{method.upper()} {path}", operation


def _classes(loaded: LoadedPlugin, room_name: str, base: type[Any]) -> Iterator[type[Any]]:
    """The public subclasses of `base` that a room itself defines."""
    module = room(loaded, room_name)
    for name, found in vars(module).items() if module else ():
        if (
            isinstance(found, type)
            and issubclass(found, base)
            and not name.startswith("_")
            and found.__module__.startswith(f"{loaded.package}.")
        ):
            yield found


def _accounts(runtime: Runtime) -> list[UUID]:
    """Two people with accounts, where the plugin that provides identities can make some."""
    provider = runtime.plugins.get(runtime.providers.get(Identity, ""))
    users = getattr(room(provider, "factories"), "users", None) if provider else None
    return list(users(2, seed=1)) if users else []


def _rows_of(loaded: LoadedPlugin, user_id: UUID) -> list[str]:
    """The rows of the plugin's tables in which the person's id stands anywhere."""
    rows = [
        f"{table.name} {tuple(row)}"
        for table in tables(loaded)
        for row in fetch_all(select(table))
        if str(user_id) in " ".join(map(str, row))
    ]
    return sorted(rows)
