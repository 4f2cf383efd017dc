"""Models phase: a plugin's tables carry its prefix and point into no other plugin's tables."""

from __future__ import annotations

from sqlalchemy import Table

from trellis.db.base import Model
from trellis.loader.faults import PluginFaultError
from trellis.loader.rooms import room
from trellis.runtime import LoadedPlugin

# Which tables a package's models brought, noted when they were first imported: a second application
# in the same process (tests) imports nothing again.
_tables_of: dict[str, list[Table]] = {}


def load(plugin: LoadedPlugin) -> None:
    """Import ``models.py`` and check its tables."""
    for table in tables(plugin):
        prefix = f"{plugin.name}_"
        if not table.name.startswith(prefix):
            raise PluginFaultError(f"table {table.name!r} does not begin with {prefix!r}")
        for key in table.foreign_keys:
            target = key.target_fullname.partition(".")[0]
            if not target.startswith(prefix):
                column = f"{table.name}.{key.parent.name}"
                raise PluginFaultError(
                    f"{column} is a foreign key into {target!r}; keep the id only"
                )


def tables(plugin: LoadedPlugin) -> list[Table]:
    """The tables that the plugin's models declare."""
    if plugin.package not in _tables_of:
        before = set(Model.metadata.tables)
        room(plugin, "models")
        mapped = [
            mapper.local_table
            for mapper in Model.registry.mappers
            if mapper.class_.__module__.startswith(f"{plugin.package}.")
        ]
        new = [table for name, table in Model.metadata.tables.items() if name not in before]
        _tables_of[plugin.package] = [
            table for table in dict.fromkeys([*mapped, *new]) if isinstance(table, Table)
        ]
    return _tables_of[plugin.package]
