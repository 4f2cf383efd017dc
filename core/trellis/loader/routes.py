"""Routes phase: a plugin's routes stay below its own addresses, and each states its access rule."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask

import trellis
from trellis.api import Blueprint, Requires, init_api, undeclared_views, view_access
from trellis.loader.faults import Faults, PluginFaultError
from trellis.loader.rooms import room
from trellis.plugin import CORE_PERMISSIONS
from trellis.routes import BLUEPRINTS, add_views
from trellis.runtime import LoadedPlugin, Runtime

_CORE_MOUNTS = ("/v1", "/docs", "/health", "/metrics", "/local")


def register(app: Flask, runtime: Runtime, plugins: list[LoadedPlugin], faults: Faults) -> None:
    """Import every ``api.py``, register its blueprints, and check what is then routed."""
    found: list[tuple[str, Blueprint]] = [("core", blueprint) for blueprint in BLUEPRINTS]
    mounted: dict[str, str] = dict.fromkeys(_CORE_MOUNTS, "core")
    for plugin in plugins:
        with faults.catching(plugin.name, plugin.version, "routes"):
            _claim_mounts(plugin, mounted)
            found += [(plugin.name, blueprint) for blueprint in _blueprints(plugin)]
    for fault in init_api(
        app, found, public_url=runtime.settings.core.base_url, version=trellis.__version__
    ):
        _add(faults, plugins, fault.plugin, fault.cause)
    add_views(app)
    _check_views(app, plugins, faults)


def _claim_mounts(plugin: LoadedPlugin, mounted: dict[str, str]) -> None:
    for mount in plugin.plugin.mounts:
        for taken, owner in mounted.items():
            if _below(mount, taken) or _below(taken, mount):
                raise PluginFaultError(f"mounts {mount!r}, which clashes with {taken!r} of {owner}")
        mounted[mount] = plugin.name


def _blueprints(plugin: LoadedPlugin) -> Iterator[Blueprint]:
    module = room(plugin, "api")
    for blueprint in vars(module).values() if module else ():
        if isinstance(blueprint, Blueprint):
            if blueprint.plugin != plugin.name:
                raise PluginFaultError(f"has a blueprint of the name {blueprint.plugin!r}")
            yield blueprint


def _check_views(app: Flask, plugins: list[LoadedPlugin], faults: Faults) -> None:
    owners = {blueprint.name: blueprint.plugin for blueprint in _registered(app)}
    for view in undeclared_views(app):
        owner = owners.get(view.endpoint.rpartition(".")[0], "core")
        _add(faults, plugins, owner, f"{view} states no access rule")
    permissions = {p.name for plugin in plugins for p in plugin.plugin.permissions}
    permissions |= {permission.name for permission in CORE_PERMISSIONS}
    mounts = {plugin.name: plugin.plugin.mounts for plugin in plugins}
    for view in view_access(app):
        owner = owners.get(view.endpoint.rpartition(".")[0], "core")
        if isinstance(view.rule, Requires) and view.rule.permission not in permissions:
            cause = f"{view} requires {view.rule.permission!r}, which no plugin declares"
            _add(faults, plugins, owner, cause)
        allowed = (f"/v1/{owner}", *mounts.get(owner, ()))
        if owner != "core" and not any(_below(view.path, root) for root in allowed):
            _add(faults, plugins, owner, f"{view} lies outside {', '.join(allowed)}")


def _registered(app: Flask) -> list[Blueprint]:
    return [found for found in app.blueprints.values() if isinstance(found, Blueprint)]


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _add(faults: Faults, plugins: list[LoadedPlugin], name: str, cause: str) -> None:
    version = next((plugin.version for plugin in plugins if plugin.name == name), "-")
    faults.add(name, version, "routes", cause)
