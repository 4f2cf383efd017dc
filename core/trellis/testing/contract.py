"""What every plugin must hold, as a test class: subclass it and name the plugin.

class TestMedia(PluginContract):
plugin = "media"
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask
from sqlalchemy import inspect as reflect

from trellis.api import Public, view_access
from trellis.api.requests import EXTENSION
from trellis.db import migrations
from trellis.db.base import db
from trellis.loader.models import tables
from trellis.runtime import LoadedPlugin, Runtime

_JSON_TYPES = {"str", "int", "float", "bool", "list", "dict", "None"}


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
        return runtime.plugins[self.plugin]

    def test_has_a_title(self, loaded: LoadedPlugin) -> None:
        assert (loaded.plugin.__doc__ or "").strip(), "the class needs a docstring: its title"

    def test_tables_carry_the_prefix(self, loaded: LoadedPlugin) -> None:
        assert all(table.name.startswith(f"{self.plugin}_") for table in tables(loaded))

    def test_models_equal_migrations(self, app: Flask, loaded: LoadedPlugin) -> None:
        if not tables(loaded):
            return
        with app.app_context():
            assert migrations.drift(self.plugin) is None

    def test_migrations_go_up_down_and_up(self, app: Flask, loaded: LoadedPlugin) -> None:
        if not tables(loaded):
            return
        with app.app_context():
            migrations.downgrade(self.plugin, "base")
            left = {name for name in _table_names() if name.startswith(f"{self.plugin}_")}
            assert left == {f"{self.plugin}_alembic_version"}
            migrations.upgrade(self.plugin)
            assert {table.name for table in tables(loaded)} <= _table_names()

    def test_anonymous_callers_are_refused(self, app: Flask) -> None:
        client = app.test_client()
        for view in view_access(app):
            if not view.endpoint.startswith(f"{self.plugin}."):
                continue
            path = view.path.replace("<uuid:", "<").replace("<path:", "<").replace("<int:", "<")
            path = "/".join(_example(part) for part in path.split("/"))
            response = client.open(path, method=view.method)
            if isinstance(view.rule, Public):
                assert response.status_code not in (401, 403), str(view)
            else:
                assert response.status_code == 401, str(view)
                assert "WWW-Authenticate" in response.headers, str(view)

    def test_operations_are_documented(self, app: Flask) -> None:
        for name, operation in _operations(app, self.plugin):
            assert operation.get("summary"), name
            assert operation["operationId"].startswith(f"{self.plugin}_"), name
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            assert body is None or "example" in body or "examples" in body, f"{name}: no example"
            assert set(operation["responses"]) - {"default"}, name

    def test_tasks_take_json_arguments(self, runtime: Runtime) -> None:
        for name, task in runtime.tasks.items():
            if name.startswith(f"{self.plugin}."):
                for parameter in inspect.signature(task.function).parameters.values():
                    annotation = str(parameter.annotation)
                    words = {word.split("[")[0].strip() for word in annotation.split("|")}
                    assert words <= _JSON_TYPES, f"{name}: {parameter.name} is {annotation}"

    def test_export_of_nobody_is_empty_and_erasing_nobody_harmless(
        self, app: Flask, runtime: Runtime, new_user_id: Any
    ) -> None:
        rooms = runtime.personal_data.get(self.plugin)
        if rooms is None:
            return
        nobody = new_user_id()
        with app.app_context():
            json.dumps(dict(rooms.export(nobody)))
            for _ in range(2):
                erased = rooms.erase(nobody)
                assert not any(erased.values()), erased


def _table_names() -> set[str]:
    with db.engine.connect() as connection:
        return set(reflect(connection).get_table_names())


def _operations(app: Flask, plugin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    document = app.extensions[EXTENSION].document()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and plugin in operation.get("tags", ()):
                yield f"{method.upper()} {path}", operation


def _example(part: str) -> str:
    if part.startswith("<"):
        return "00000000-0000-7000-8000-000000000000"
    return part
