"""The phases of start, from configure to ready; each goes over all plugins before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flask import Flask

import trellis
from trellis.db.base import db
from trellis.loader import commands, events, models, routes, services, tasks
from trellis.loader.discover import check, discover
from trellis.loader.faults import Faults, LoadError, Phase, PluginFaultError
from trellis.loader.quiet import no_queries
from trellis.loader.rooms import resolve
from trellis.runtime import LoadedPlugin, Runtime
from trellis.settings import (
    LoadedSettings,
    PluginSettings,
    SettingsError,
    load_settings,
    read_plugin_selection,
)


@dataclass(frozen=True)
class Selected:
    """The plugins that passed discover and check, with the settings that were read for them."""

    plugins: list[LoadedPlugin]
    settings: LoadedSettings
    faults: Faults


def select_plugins() -> Selected:
    """Discover, check, configure.

    Raises SettingsError for faults of the settings, `LoadError` when there are others beside them.
    """
    faults = Faults()
    found, left_out = discover(read_plugin_selection(), faults)
    ordered = check(found, faults)
    models_of: dict[str, type[PluginSettings]] = {}
    for plugin in ordered:
        if plugin.plugin.settings is not None:
            with faults.catching(plugin.name, plugin.version, "configure"):
                models_of[plugin.name] = _settings_model(plugin, plugin.plugin.settings)
    ignored = {*left_out, *(p.name for p in found if p.name not in models_of), *faults.plugins}
    try:
        return Selected(ordered, load_settings(models_of, ignored=ignored), faults)
    except SettingsError as error:
        if not faults.list:
            raise
        for cause in error.faults:
            _add_settings_fault(faults, ordered, cause)
        raise LoadError(faults.list) from None


def load_plugins(app: Flask, runtime: Runtime, selected: Selected) -> None:
    """Run the other phases and fill the runtime. Raises `LoadError` with every fault."""
    faults = selected.faults
    plugins = selected.plugins

    def each(phase: Phase, step: Callable[[LoadedPlugin], None]) -> None:
        for plugin in _sound(plugins, faults):
            with faults.catching(plugin.name, plugin.version, phase):
                step(plugin)

    runtime.plugins = {plugin.name: plugin for plugin in plugins}
    with app.app_context(), no_queries(db.engine):
        each("models", models.load)
        each("services", lambda plugin: services.bind(runtime, plugin))
        services.check_ports(runtime, plugins, faults)
        each("tasks", lambda plugin: tasks.register(runtime, plugin))
        each("events", lambda plugin: events.register_published(runtime, plugin))
        each("events", lambda plugin: events.register_subscribed(runtime, plugin, plugins))
        each("commands", lambda plugin: commands.register(runtime, plugin))
        routes.register(app, runtime, _sound(plugins, faults), faults)
        each("ready", lambda plugin: plugin.plugin.setup(app))
    if faults.list:
        raise LoadError(faults.list)


def _sound(plugins: Iterable[LoadedPlugin], faults: Faults) -> list[LoadedPlugin]:
    return [plugin for plugin in plugins if plugin.name not in faults.plugins]


def _settings_model(plugin: LoadedPlugin, reference: str) -> type[PluginSettings]:
    found = resolve(plugin, reference)
    if not (isinstance(found, type) and issubclass(found, PluginSettings)):
        raise PluginFaultError(f"{reference!r} is not a subclass of PluginSettings")
    return found


def _add_settings_fault(faults: Faults, plugins: Iterable[LoadedPlugin], cause: str) -> None:
    """Settings name themselves: ``media.size`` or ``TRELLIS_MEDIA__SIZE``."""
    for plugin in plugins:
        if cause.startswith((f"{plugin.name}.", f"TRELLIS_{plugin.name.upper()}__")):
            faults.add(plugin.name, plugin.version, "configure", cause)
            return
    faults.add("core", trellis.__version__, "configure", cause)
