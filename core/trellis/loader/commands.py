"""Commands phase: a plugin's click group, shown as ``trellis <plugin>``."""

from __future__ import annotations

import click

from trellis.loader.faults import PluginFaultError
from trellis.loader.rooms import room
from trellis.runtime import LoadedPlugin, Runtime


def register(runtime: Runtime, plugin: LoadedPlugin) -> None:
    """Import ``cli.py`` and take its ``cli`` over."""
    module = room(plugin, "cli")
    if module is None:
        return
    command = getattr(module, "cli", None)
    if not isinstance(command, click.Command):
        raise PluginFaultError("cli.py has no click command `cli`")
    runtime.commands[plugin.name] = command
