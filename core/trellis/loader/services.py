"""Services phase: bind the ports that plugins provide, check the ones that they use."""

from __future__ import annotations

from typing import Any

from trellis.loader.faults import Faults, PluginFaultError
from trellis.loader.rooms import resolve, room
from trellis.runtime import LoadedPlugin, PersonalDataRooms, Runtime


def bind(runtime: Runtime, plugin: LoadedPlugin) -> None:
    """Import ``services.py`` and make the providers."""
    room(plugin, "services")
    names = {
        "permission": [permission.name for permission in plugin.plugin.permissions],
        "public tag": plugin.plugin.public_tags,
    }
    for kind, declared in names.items():
        for name in declared:
            if not name.startswith(f"{plugin.name}."):
                raise PluginFaultError(f"{kind} {name!r} does not begin with {plugin.name + '.'!r}")
    runtime.public_tags.update(plugin.plugin.public_tags)
    for contract, reference in plugin.plugin.provides.items():
        if contract in runtime.ports:
            other = runtime.providers[contract]
            raise PluginFaultError(f"port {contract.__name__} is provided by {other} already")
        runtime.ports[contract] = resolve(plugin, reference)()
        runtime.providers[contract] = plugin.name
    personal_data = plugin.plugin.personal_data
    if personal_data is not None:
        runtime.personal_data[plugin.name] = PersonalDataRooms(
            resolve(plugin, personal_data.export), resolve(plugin, personal_data.erase)
        )


def check_ports(runtime: Runtime, plugins: list[LoadedPlugin], faults: Faults) -> None:
    """Every used port has a provider; a provider that failed otherwise is told only once."""
    declared: set[type[Any]] = {port for p in plugins for port in p.plugin.provides}
    for plugin in plugins:
        if plugin.name in faults.plugins:
            continue
        for contract in plugin.plugin.uses:
            if contract not in runtime.ports and contract not in declared:
                faults.add(
                    plugin.name,
                    plugin.version,
                    "services",
                    f"uses port {contract.__name__}, which nobody provides",
                )
