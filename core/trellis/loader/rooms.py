"""A plugin's rooms: found by file name, imported by the core, each in its phase."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from trellis.loader.faults import PluginFaultError
from trellis.runtime import LoadedPlugin


def room(plugin: LoadedPlugin, name: str) -> ModuleType | None:
    """Import a room; ``None`` when there is no such file.

    The file is looked for first: an import that fails inside a room is no missing room.
    """
    path = f"{plugin.package}.{name}"
    return importlib.import_module(path) if importlib.util.find_spec(path) else None


def resolve(plugin: LoadedPlugin, reference: str) -> Any:
    """The attribute that ``"services:messenger"`` names. Raises PluginFaultError."""
    module_name, _, attribute = reference.partition(":")
    module = room(plugin, module_name)
    if module is None:
        raise PluginFaultError(f"{reference!r}: there is no {module_name}.py")
    if not attribute or not hasattr(module, attribute):
        raise PluginFaultError(f"{reference!r}: {module_name}.py has no {attribute!r}")
    return getattr(module, attribute)
