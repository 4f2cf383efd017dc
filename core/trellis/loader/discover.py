"""Discover and check: which plugins are there, whether they fit, and in which order they load."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from trellis.loader.faults import Faults, PluginFaultError
from trellis.plugin import CORE_VERSION, Plugin
from trellis.runtime import LoadedPlugin
from trellis.settings import PluginSelection

GROUP = "trellis.plugins"
_NAME = re.compile(r"[a-z][a-z0-9]{1,30}")
# Names under which the core itself has tables, tasks, routes or commands.
_RESERVED = frozenset(
    [
        "core",
        "trellis",
        "health",
        "docs",
        "local",
        "erasures",
        "jobs",
        "stream",
        "serve",
        "web",
        "front",
        "background",
        "worker",
        "scheduler",
        "db",
        "plugins",
        "config",
        "openapi",
        "demo",
        "perf",
    ]
)


def discover(selection: PluginSelection, faults: Faults) -> tuple[list[LoadedPlugin], list[str]]:
    """Import the class of every enabled plugin; returns them and the names of those left out."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    installed = {entry.name for entry in found}
    for name in [*selection.disabled, *(selection.only or [])]:
        if name not in installed:
            faults.add(name, "-", "discover", "is named in the settings but not installed")
    plugins: list[LoadedPlugin] = []
    left_out: list[str] = []
    for name in sorted(installed):
        entries = [entry for entry in found if entry.name == name]
        if name in selection.disabled or (
            selection.only is not None and name not in selection.only
        ):
            left_out.append(name)
        elif len({_distribution(entry) for entry in entries}) > 1:
            claimants = ", ".join(sorted(_distribution(entry)[0] for entry in entries))
            faults.add(name, "-", "discover", f"the name is claimed by {claimants}")
        else:
            _, version = _distribution(entries[0])
            with faults.catching(name, version, "discover"):
                plugins.append(_import(entries[0], version))
    return plugins, left_out


def check(plugins: list[LoadedPlugin], faults: Faults) -> list[LoadedPlugin]:
    """Check versions and requirements; returns the plugins in an order that respects `requires`."""
    by_name = {plugin.name: plugin for plugin in plugins}
    graph: dict[str, set[str]] = {}
    for plugin in plugins:
        with faults.catching(plugin.name, plugin.version, "check"):
            _check_core(plugin)
            graph[plugin.name] = set(_check_requirements(plugin, by_name))
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        chain: list[str] = error.args[1]
        for name in sorted(set(chain)):
            cause = f"requires itself: {' -> '.join(reversed(chain))}"
            faults.add(name, by_name[name].version, "check", cause)
        return [by_name[name] for name in graph if name not in faults.plugins]
    return [by_name[name] for name in order if name in graph and name not in faults.plugins]


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else (entry.value, "-")


def _import(entry: EntryPoint, version: str) -> LoadedPlugin:
    found = entry.load()
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise PluginFaultError(f"{entry.value} is not a subclass of trellis.plugin.Plugin")
    for required in ("name", "core"):
        if not isinstance(getattr(found, required, None), str):
            raise PluginFaultError(f"the class states no `{required}`")
    if not _NAME.fullmatch(found.name) or found.name in _RESERVED:
        raise PluginFaultError(f"{found.name!r} cannot be a plugin's name")
    if found.name != entry.name:
        raise PluginFaultError(
            f"the entry point is {entry.name!r} but the class says {found.name!r}"
        )
    return LoadedPlugin(found(), entry.module.rpartition(".")[0], version)


def _check_core(plugin: LoadedPlugin) -> None:
    try:
        fits = SpecifierSet(plugin.plugin.core).contains(CORE_VERSION)
    except InvalidSpecifier:
        raise PluginFaultError(f"core = {plugin.plugin.core!r} is not a version range") from None
    if not fits:
        raise PluginFaultError(f"needs core {plugin.plugin.core}, this is {CORE_VERSION}")


def _check_requirements(plugin: LoadedPlugin, others: dict[str, LoadedPlugin]) -> Iterable[str]:
    for text in plugin.plugin.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise PluginFaultError(f"requires {text!r}, which is no requirement") from None
        other = others.get(requirement.name)
        if other is None:
            raise PluginFaultError(f"requires plugin {text}, which is not installed and enabled")
        if not requirement.specifier.contains(other.version, prereleases=True):
            raise PluginFaultError(f"requires plugin {text}, installed is {other.version}")
        yield requirement.name
